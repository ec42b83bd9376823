"""Values that image data and labels must not hold."""

import numpy as np
from funlib.geometry import Roi

from attacca.errors import DamagedDataError

ACCEPT_MISSING_CHUNKS = (
    "restore them from the original, or set 'missing_chunks: zero' beside 'path' if they hold zeros"
)
"""Instruction of messages about missing chunks."""


def check_values(data: np.ndarray, contents: str, name: str, roi: Roi) -> None:
    """Raise an error for values that data of a kind must not hold.

    Args:
        data: stored values, any shape.
        contents: ``raw`` or ``labels``.
        name: of the array, for the message.
        roi: region of the data, for the message.

    Raises:
        DamagedDataError: raw data hold a value that is not finite, or labels a negative id.

    >>> check_values(np.array([1.0, np.nan]), "raw", "em.zarr", Roi((0,), (2,)))
    Traceback (most recent call last):
    attacca.errors.DamagedDataError: em.zarr holds 1 values that are not finite (NaN or infinite), in [0:2] (2); ...
    """
    if contents == "raw" and data.dtype.kind == "f":
        count = data.size - int(np.count_nonzero(np.isfinite(data)))
        if count:
            raise DamagedDataError(
                f"{name} holds {count} values that are not finite (NaN or infinite), in {roi}",
                fix="replace them in the file by gray values",
            )
    if contents == "labels" and data.dtype.kind == "i" and data.size and data.min() < 0:
        raise DamagedDataError(
            f"{name} holds the negative label {data.min()}, in {roi}",
            fix="replace negative labels in the file by ids of 0 or more, for example by that of 'unlabelled'",
        )
