"""Sweeps: grids of settings trained side by side, compared, picked and drawn."""

from naejax.sweeps.grid import parse_grid
from naejax.sweeps.result import Pick, SweepResult
from naejax.sweeps.sweep import sweep

__all__ = ["Pick", "SweepResult", "parse_grid", "sweep"]
