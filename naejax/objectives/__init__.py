"""What training minimises: losses of the score, penalties on the parts."""

from naejax.objectives import losses, penalties

__all__ = ["losses", "penalties"]
