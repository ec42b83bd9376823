"""Class counts as plain values, for checkpoints and manifests."""

from typing import Any

import numpy as np


def convert_to_plain_counts(counts: Any) -> Any:
    """Return class counts as Python's built-in types, which a checkpoint may contain.

    Counts from JSON, whose keys are text, get integer keys again. Integers stay integers, so that sums in any order
    are equal.

    Args:
        counts: nested dictionaries, lists, tuples and numpy values, or None.

    >>> convert_to_plain_counts([{"0": (np.int64(3), 5.0)}])
    [{0: (3, 5.0)}]
    """
    if isinstance(counts, dict):
        return {int(key): convert_to_plain_counts(value) for key, value in counts.items()}
    if isinstance(counts, np.ndarray):
        return convert_to_plain_counts(counts.tolist())
    if isinstance(counts, list):
        return [convert_to_plain_counts(value) for value in counts]
    if isinstance(counts, tuple):
        return tuple(convert_to_plain_counts(value) for value in counts)
    return counts.item() if isinstance(counts, np.generic) else counts
