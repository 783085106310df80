"""Flax Linen modules, which hold parameters, and prediction with them."""
