"""What the members of an ensemble say one by one, and how far they agree."""

from typing import NamedTuple

import numpy as np

from naejax.types import NAEOutput

# Contributions are float32: variation below this share of their size is rounding.
ROUNDING = 1e-6


class ActiveExperts(NamedTuple):
    """The experts that speak for each row, the loudest first.

    Attributes:
        weights: of member m's experts for feature i of row b, falling, on the simplex,
            (S, B, F, k); 0 where a row has fewer than k.
        values: the contributions that they propose, (S, B, F, k, C); 0 as above.
    """

    weights: np.ndarray
    values: np.ndarray


def member_contributions(output: NAEOutput, members: int) -> np.ndarray:
    """What every member of an ensemble contributes: ``f_im = sum_c g_imc e_imc``.

    Their mean over the members is the ensemble's contribution.

    Args:
        output: of `naejax.NAEEnsemble` for B rows, or of one model.
        members: S.

    Returns:
        (S, B, F, C).

    Raises:
        ValueError: the number of experts is no multiple of the members.

    Example:
        >>> experts = np.array([1.0, 3.0]).reshape(1, 1, 2, 1)
        >>> f = np.full((1, 1, 1), 2.0)
        >>> gates = np.full((1, 1, 2), 0.5)
        >>> output = NAEOutput(f[:, 0], np.zeros(1), f, gates, experts)
        >>> member_contributions(output, 2).ravel()
        array([1., 3.])
    """
    if members == 1:
        return np.asarray(output.contributions)[None]
    gates, experts = _by_member(output, members)
    return np.einsum("bfsk,bfskc->sbfc", members * gates, experts)


def active_experts(output: NAEOutput, members: int = 1) -> ActiveExperts:
    """The experts with a positive weight, for every member, row and feature.

    The sum of weights times values is `member_contributions`; k is the largest number
    of experts that any member lets speak for any row and feature.

    Args:
        output: of `naejax.NAEEnsemble` for B rows, or of one model.
        members: S.

    Returns:
        Weights and values; memory grows with S B F k C, so pass few rows.

    Raises:
        ValueError: the number of experts is no multiple of the members.

    Example:
        >>> experts = np.array([1.0, 3.0, 7.0]).reshape(1, 1, 3, 1)
        >>> gates = np.array([0.25, 0.0, 0.75]).reshape(1, 1, 3)
        >>> f = np.full((1, 1, 1), 5.5)
        >>> output = NAEOutput(f[:, 0], np.zeros(1), f, gates, experts)
        >>> active = active_experts(output)
        >>> active.weights.ravel(), active.values.ravel()
        (array([0.75, 0.25]), array([7., 1.]))
    """
    gates, experts = _by_member(output, members)
    gates = np.moveaxis(gates * np.asarray(members, gates.dtype), 2, 0)
    experts = np.moveaxis(experts, 2, 0)
    most = max(int((gates > 0).sum(axis=-1).max(initial=0)), 1)
    order = np.argsort(-gates, axis=-1, kind="stable")[..., :most]
    weights = np.take_along_axis(gates, order, axis=-1)
    values = np.take_along_axis(experts, order[..., None], axis=-2)
    return ActiveExperts(weights, np.where(weights[..., None] > 0, values, 0))


def agreement(output: NAEOutput, members: int) -> np.ndarray:
    """The share of the variance of contributions that the members have in common.

    With ``f_bm`` what member m contributes to row b, less its mean over the rows, and
    ``f_b`` the mean over the members::

        between = S sum_b f_b^2 / (B - 1)
        within = sum_bm (f_bm - f_b)^2 / ((B - 1) (S - 1))
        agreement = (between - within) / (between + (S - 1) within)

    clipped to [0, 1]: 1 where all members agree up to constants, 0 on average where
    they have nothing in common, however few members or rows there are. It is the
    correlation that a further member is expected to have with one of these.

    Args:
        output: of `naejax.NAEEnsemble` for B rows.
        members: S; one member agrees with itself.

    Returns:
        (F, C); 1 where no member varies beyond rounding, and for one row.

    Raises:
        ValueError: the number of experts is no multiple of the members.

    Example:
        >>> experts = np.array([[1.0, 2.0], [3.0, 4.0]]).reshape(2, 1, 2, 1)
        >>> f = experts.mean(axis=2)
        >>> gates = np.full((2, 1, 2), 0.5)
        >>> agreement(NAEOutput(f[:, 0], np.zeros(1), f, gates, experts), 2)
        array([[1.]])

    Source: Shrout and Fleiss, "Intraclass Correlations: Uses in Assessing Rater
    Reliability", 1979, ICC(3, 1).
    """
    f = np.asarray(member_contributions(output, members), np.float64)
    size, rows = np.abs(f).max(axis=(0, 1)), f.shape[1]
    f -= f.mean(axis=1, keepdims=True)
    varies = np.abs(f).max(axis=(0, 1)) > ROUNDING * size
    if members == 1 or rows == 1:
        return np.ones(varies.shape)
    mean = f.mean(axis=0)
    between = members * (mean**2).sum(axis=0)
    within = ((f - mean) ** 2).sum(axis=(0, 1)) / (members - 1)
    total = np.where(varies, between + (members - 1) * within, 1)
    return np.where(varies, np.clip((between - within) / total, 0, 1), 1.0)


def _by_member(output: NAEOutput, members: int) -> tuple[np.ndarray, np.ndarray]:
    """Gates (B, F, S, K') and experts (B, F, S, K', C), no copies of them."""
    rows, features, count, outputs = output.experts.shape
    if members < 1 or count % members:
        raise ValueError(
            f"{count} experts per feature cannot belong to {members} members, equally "
            "many to each: pass the size of the ensemble"
        )
    gates = np.asarray(output.gates).reshape(rows, features, members, -1)
    experts = np.asarray(output.experts)
    return gates, experts.reshape(rows, features, members, -1, outputs)
