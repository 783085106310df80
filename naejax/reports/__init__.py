"""Reports: one self-contained HTML page about a trained model."""

from naejax.reports.write import report

__all__ = ["report"]
