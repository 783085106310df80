"""Shapes with random curves, for tests of pictures."""

import numpy as np

from naejax.data.schema import Feature
from naejax.explain.additive import Shape


def shape_of(
    positions,
    *,
    kind="numeric",
    outputs=1,
    name="x",
    scale=1.0,
    bars=0,
    seed=0,
    num_experts=3,
    members=1,
) -> Shape:
    """A shape with random curves at the given positions."""
    rng = np.random.default_rng(seed)
    n, is_number = len(positions), kind == "numeric"
    curves = np.sort(scale * rng.normal(size=(5, n, outputs)), axis=0)
    lower, low, mean, high, upper = curves
    known = [p for p in positions if p is not None and p == p]
    return Shape(
        feature=Feature(name, kind),
        positions=np.array(positions, float if is_number else object),
        counts=rng.integers(1, 50, n),
        mean=mean,
        low=low,
        high=high,
        lower=lower,
        upper=upper,
        shift=np.zeros(outputs),
        importance=np.full(outputs, scale),
        additivity=np.full(outputs, 0.75),
        window=(min(known), max(known)) if is_number else None,
        histogram=np.arange(bars),
        edges=np.linspace(min(known), max(known), bars + 1) if bars else np.zeros(0),
        experts=scale * rng.normal(size=(n, num_experts, outputs)),
        usage=rng.dirichlet(np.ones(num_experts), size=n),
        members=mean + scale * rng.normal(size=(members, n, outputs)),
        member_importance=scale * rng.uniform(0.5, 2, size=(members, outputs)),
    )
