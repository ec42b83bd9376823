"""Tags of files of Gatan DigitalMicrograph, as RosettaSciIO parses them, with limits for damaged files."""

import os
from typing import Any

from rsciio.digitalmicrograph._api import DigitalMicrographReader

_MOST_VALUES = 1 << 24
"""Values that an array of tags may have; a damaged length would take hours."""


class TagReader(DigitalMicrographReader):
    """Parser of tags that refuses lengths which the file cannot hold.

    Args:
        file: the open file.
    """

    def __init__(self, file: Any) -> None:
        super().__init__(file)
        self._size = os.fstat(file.fileno()).st_size

    def read_string(self, length: int, skip: bool = False) -> Any:
        self._check_length(length)
        return super().read_string(length, skip)

    def read_array(
        self, size: int, enc_eltype: int, extra: dict[str, Any] | None = None, skip: bool = False
    ) -> Any:
        self._check_length(size)
        is_empty = extra is not None and not all(extra.values())
        if not skip and (size > _MOST_VALUES or (is_empty and size)):
            raise ValueError(f"found an array of {size} values in its tags")
        return super().read_array(size, enc_eltype, extra, skip)

    def _check_length(self, length: int) -> None:
        if not 0 <= length <= self._size - self.f.tell():
            raise ValueError(f"found a tag of {length} values at byte {self.f.tell()} of {self._size}")
