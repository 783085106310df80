"""The palette and the texts of pictures."""

from collections.abc import Sequence

import numpy as np

# Okabe and Ito's palette, told apart with every common colour vision.
COLORS = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
    "#000000",
    "#F0E442",
)
GREY, PALE, FAINT = "#666666", "#BBBBBB", "#EEEEEE"
# A contribution that raises the score, and one that lowers it.
RAISES, LOWERS = COLORS[0], COLORS[1]
SMALL = 7


def shorten(text: str, width: int) -> str:
    """Text on one line, cut in the middle to a width."""
    line, tail = " ".join(text.split()), width // 3
    return line if len(line) <= width else f"{line[: width - tail - 1]}…{line[-tail:]}"


def ticks(left: float, right: float, bins: int, integer: bool = False) -> list[float]:
    """Round numbers inside an interval."""
    from matplotlib.ticker import MaxNLocator

    if left == right:
        return [left]
    locator = MaxNLocator(bins, steps=[1, 2, 5, 10], integer=integer)
    return [tick for tick in locator.tick_values(left, right) if left <= tick <= right]


def tick_label(value: float) -> str:
    """A round number in a few characters: 0.5, −20, 150k."""
    from matplotlib.ticker import EngFormatter

    if abs(value) >= 10_000:
        return EngFormatter(sep="")(value)
    return f"{value:.6g}".replace("-", "\N{MINUS SIGN}")


def number(value: float) -> str:
    """A number in a few characters."""
    text = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return text.replace("-", "\N{MINUS SIGN}")


def signed(values: Sequence[float]) -> list[str]:
    """Writes numbers with their sign, all with the same decimals.

    The largest has three digits or more, so that sums can be followed.

    Args:
        values: numbers that belong together.

    Returns:
        One text each.

    Example:
        >>> signed([1.316, -0.25])
        ['+1.32', '−0.25']
    """
    largest = max((abs(v) for v in values), default=0.0)
    if largest == 0 or 1e-4 <= largest < 1e6:
        decimals = 2 - int(np.floor(np.log10(largest))) if largest else 2
        form = f"+,.{max(decimals, 0)}f"
    else:
        form = "+.2e"
    return [format(float(v), form).replace("-", "−") for v in values]


def sign_color(contribution: float) -> str:
    """The colour of a contribution's sign."""
    if contribution == 0:
        return GREY
    return RAISES if contribution > 0 else LOWERS
