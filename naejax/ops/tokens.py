"""Texts as arrays: the channels of ``x`` (N, L, 4)."""

TOKEN, TYPE, PRESENT, PART = range(4)
