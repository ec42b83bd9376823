"""Ids as another program stores them: the same or consecutive ones, of a type that holds them all."""

from dataclasses import dataclass

import numpy as np

from attacca.config.export import Ids
from attacca.errors import VolumeError


@dataclass(frozen=True)
class IdNumbers:
    """Conversion of ids to another type.

    Args:
        ids: all ids except 0, uint64, ascending.
        dtype: type in which the ids are stored.
        mode: ``keep``, or ``consecutive`` for 1, 2, ... in the order of the ids.
        key: key of the configuration, for the error message.

    Raises:
        VolumeError: an id is beyond the range of the type.

    >>> numbers = IdNumbers(np.array([3, 1 << 40], np.uint64), np.dtype("uint16"), "consecutive", "export.tiff")
    >>> numbers.convert(np.array([[0, 1 << 40], [3, 3]], np.uint64)).tolist()
    [[0, 2], [1, 1]]
    """

    ids: np.ndarray
    dtype: np.dtype
    mode: Ids
    key: str

    def __post_init__(self) -> None:
        limit = int(np.iinfo(self.dtype).max)
        largest = len(self.ids) if self.mode == "consecutive" else int(self.ids[-1]) if len(self.ids) else 0
        if largest > limit:
            what = "number of segments" if self.mode == "consecutive" else "largest id"
            fix = "" if self.mode == "consecutive" else f", or {self.key}.ids: consecutive"
            raise VolumeError(
                f"{self.key}: the {what} of the segmentation is {largest}, and {self.dtype} holds numbers up to {limit}; "
                f"set {self.key}.dtype to a larger type{fix}"
            )

    def convert(self, block: np.ndarray) -> np.ndarray:
        """Return a block with the ids of the other program."""
        if self.mode == "keep":
            return block.astype(self.dtype)
        positions = np.searchsorted(self.ids, block) + 1
        return np.where(block == 0, 0, positions).astype(self.dtype)

    def format_table(self) -> str:
        """Return the table of stored and original ids as tab-separated text."""
        rows = [f"{number}\t{name}" for number, name in enumerate(self.ids.tolist(), start=1)]
        return "\n".join(["id\tsegment", *rows]) + "\n"
