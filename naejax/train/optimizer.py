"""The optimiser that is used where the user names only a learning rate."""

import optax


def default_optimizer(
    learning_rate: float, total_steps: int, weight_decay: float = 1e-2
) -> tuple[optax.GradientTransformation, optax.Schedule]:
    """AdamW whose rate warms up over the first 5 % of steps, then falls as a cosine.

    Args:
        learning_rate: the highest rate.
        total_steps: steps until the rate is 0.
        weight_decay: decoupled weight decay.

    Returns:
        The optimiser and its schedule ``step -> rate``.

    Example:
        >>> _, schedule = default_optimizer(1e-3, total_steps=100)
        >>> float(schedule(0)), round(float(schedule(5)), 6), float(schedule(100))
        (0.0, 0.001, 0.0)
    """
    schedule = optax.warmup_cosine_decay_schedule(
        0.0, learning_rate, max(1, total_steps // 20), max(2, total_steps)
    )
    return optax.adamw(schedule, weight_decay=weight_decay), schedule
