"""Tables where images are needed, and images where a table is."""

from naejax.data.datasets import available
from naejax.data.image_sets import available_images


def refuse_images(data: str) -> None:
    """Refuses images where a table is needed.

    Args:
        data: a name or a path.

    Raises:
        ValueError: if it is one of images.

    Example:
        >>> refuse_images("homes.csv")
    """
    if data.endswith(".npz") or (
        data in available_images() and data not in available()
    ):
        raise ValueError(
            f"{data} holds images, --model nae needs a table; pass --model sop"
        )


def refuse_tables(data: str) -> None:
    """Refuses a table where images are needed.

    Args:
        data: a name or a path.

    Raises:
        ValueError: if it is one of a table.

    Example:
        >>> refuse_tables("mine.npz")
    """
    if data.endswith((".csv", ".parquet", ".pq")) or (
        data in available() and data not in available_images()
    ):
        raise ValueError(
            f"{data} is a table, --model sop needs images; pass --model nae, or images "
            f"by name ({', '.join(available_images())}) or as an .npz file"
        )
