"""Labels whose ids are stored as colors or as floating-point numbers."""

import logging
from collections.abc import Sequence

import numpy as np

from attacca.errors import VolumeError
from attacca.volumes.readers.source import Source

logger = logging.getLogger(__name__)

# Above, not each whole number is a float32.
_EXACT_FLOAT32 = 2**24


class RgbIds(Source):
    """Labels of a color image: red * 65536 + green * 256 + blue, as VAST and other painting programs export them.

    Args:
        source: labels with three channels of uint8.

    Raises:
        VolumeError: the source has other channels.
    """

    def __init__(self, source: Source) -> None:
        if source.num_channels != 3 or source.dtype != np.uint8:
            found = f"{source.num_channels or 1} channels of {source.dtype}"
            raise VolumeError(
                f"{source.name} has {found}, but 'encoding: rgb' expects 3 of uint8", fix="remove 'encoding'"
            )
        self.name, self.metadata, self.warnings = source.name, source.metadata, source.warnings
        self.axes, self.shape = source.axes[1:], source.shape[1:]
        self.section_numbers = source.section_numbers
        self.dtype = np.dtype(np.uint32)
        self._source = source

    def read(self, begin: Sequence[int], end: Sequence[int]) -> np.ndarray:
        red, green, blue = self._source.read(begin, end).astype(np.uint32)
        return np.asarray(red << 16 | green << 8 | blue)


class WholeNumberIds(Source):
    """Labels of a floating-point image, such as those of ImageJ, which does not have integers of 32 bits.

    Args:
        source: labels of a floating-point type; all values are whole numbers.
    """

    def __init__(self, source: Source) -> None:
        self.name, self.metadata = source.name, source.metadata
        self.axes, self.shape = source.axes, source.shape
        self.section_numbers = source.section_numbers
        self.dtype = np.dtype(np.uint64 if source.dtype.itemsize > 4 else np.uint32)
        self.warnings = (
            *source.warnings,
            f"{source.name}: whole numbers stored as {source.dtype} are read as ids",
        )
        self._source = source
        self._is_warned = False

    def read(self, begin: Sequence[int], end: Sequence[int]) -> np.ndarray:
        data = self._source.read(begin, end)
        largest = float(np.iinfo(self.dtype).max)
        valid = np.isfinite(data) & (np.floor(data) == data) & (data >= 0) & (data < largest)
        if not valid.all():
            raise VolumeError(
                f"{self.name} holds the floating-point number {data[~valid][0]}, in voxels {list(begin)} to {list(end)}; "
                "labels are whole numbers of 0 or more",
                fix="convert the file to an integer type, or check that it is not a probability map",
            )
        if data.dtype == np.float32 and not self._is_warned and data.max(initial=0) > _EXACT_FLOAT32:
            self._is_warned = True
            logger.warning(
                "%s holds ids above %d, where float32 does not have each whole number: objects may share an id",
                self.name,
                _EXACT_FLOAT32,
            )
        return data.astype(self.dtype)
