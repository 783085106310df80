"""How contributions depend on each other, and how experts share the work."""

import numpy as np

from naejax.explain.members import ROUNDING
from naejax.types import NAEOutput

_DEAD = 0.01


def concurvity(output: NAEOutput) -> np.ndarray:
    """Absolute Pearson correlation of the features' contributions.

    Where it is near 1, two shapes could trade places without a change of the score, so
    neither is to be read alone.

    Args:
        output: what a model returned for B rows.

    Returns:
        In [0, 1], (F, F, C); 1 on the diagonal, 0 beside it for a contribution that
        does not vary beyond rounding.

    Example:
        >>> f = np.array([[1.0, -2.0], [3.0, -6.0]])[..., None]
        >>> output = NAEOutput(f.sum(1), np.zeros(1), f, np.ones((2, 2, 1)),
        ...                    f[..., None])
        >>> concurvity(output)[0, 1].round(3)
        array([1.])

    Source: Siems et al., "Curve Your Enthusiasm: Concurvity Regularization in
    Differentiable Generalized Additive Models", NeurIPS 2023.
    """
    return np.abs(_correlations(output))


def explained_by_others(output: NAEOutput) -> np.ndarray:
    """How well a linear regression on all other contributions tells a contribution.

    Adjusted for the number of features: ``R2 = 1 - (rss / (B - F)) / (tss / (B - 1))``,
    at least 0, so that it is near 0 for independent contributions of few rows.

    Args:
        output: what a model returned for B rows.

    Returns:
        In [0, 1], (F, C); 0 for a contribution that does not vary beyond rounding. With
        no more rows than features everything else is 1: pass more rows.

    Example:
        >>> f = np.random.default_rng(0).normal(size=(99, 3, 1))
        >>> f[:, 2] = f[:, 0] - f[:, 1]
        >>> output = NAEOutput(f.sum(1), np.zeros(1), f, np.ones((99, 3, 1)),
        ...                    f[..., None])
        >>> explained_by_others(output)[:, 0].round(3)
        array([1., 1., 1.])
    """
    rows, features = output.contributions.shape[:2]
    if rows <= features:
        return (_correlations(output) != 0).any(axis=1).astype(float)
    shares = []
    for correlations in np.moveaxis(_correlations(output), 2, 0):
        values, vectors = np.linalg.eigh(correlations)
        # Of two equal contributions each tells the other; 1e-12 stands for no rest.
        inverse = (vectors**2 / np.maximum(values, 1e-12)).sum(axis=1)
        shares.append(1 - (rows - 1) / (rows - features) / inverse)
    return np.clip(np.stack(shares, axis=1), 0, 1)


def utilisation(output: NAEOutput) -> np.ndarray:
    """The mean gate of every expert.

    Args:
        output: what a model returned for B rows.

    Returns:
        Rows sum to 1, (F, K).

    Example:
        >>> gates = np.array([[[1.0, 0.0]], [[0.5, 0.5]]])
        >>> f = np.zeros((2, 1, 1))
        >>> utilisation(NAEOutput(f[:, 0], np.zeros(1), f, gates, gates[..., None]))
        array([[0.75, 0.25]])
    """
    return np.asarray(output.gates).mean(axis=0, dtype=float)


def dead_experts(output: NAEOutput, members: int = 1) -> np.ndarray:
    """How many experts of a feature hardly ever speak.

    An expert is dead if its mean gate is below a hundredth of an equal share, ``0.01 /
    K'`` with K' experts per feature and member.

    Args:
        output: of `naejax.NAEEnsemble` for B rows, or of one model.
        members: S; in an ensemble the gates of one member sum to ``1 / S``, which makes
            the bound ``0.01 / K`` for all its ``K = S K'`` experts.

    Returns:
        Counts over all members, (F,).

    Raises:
        ValueError: the number of experts is no multiple of the members.

    Example:
        >>> gates = np.array([[[1.0, 0.0]], [[0.5, 0.5]]])
        >>> f = np.zeros((2, 1, 1))
        >>> dead_experts(NAEOutput(f[:, 0], np.zeros(1), f, gates, gates[..., None]))
        array([0])
    """
    usage = utilisation(output)
    count = usage.shape[1]
    if members < 1 or count % members:
        raise ValueError(
            f"{count} experts per feature cannot belong to {members} members, equally "
            "many to each: pass the size of the ensemble"
        )
    return (usage < _DEAD / count).sum(axis=1)


def _correlations(output: NAEOutput) -> np.ndarray:
    """Pearson correlations (F, F, C); unit rows for contributions that do not vary."""
    matrices = []
    for c in range(output.contributions.shape[2]):
        f = np.asarray(output.contributions[:, :, c], np.float64)
        varies = np.ptp(f, axis=0) > ROUNDING * np.abs(f).max(axis=0)
        f = f - f.mean(axis=0)
        norm = np.where(varies, np.sqrt((f**2).sum(axis=0)), np.inf)
        f /= norm
        matrix = np.clip(f.T @ f, -1, 1)
        np.fill_diagonal(matrix, 1)
        matrices.append(matrix)
    return np.stack(matrices, axis=2)
