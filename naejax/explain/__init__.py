"""Explanations: quantities computed from a model's parts, and their pictures."""
