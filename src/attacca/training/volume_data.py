"""Volumes as the loader reads them: small ones whole from memory, large ones by chunks that stay for a
while."""

from collections import OrderedDict
from collections.abc import MutableMapping
from itertools import product
from typing import Any

import numpy as np
from funlib.geometry import Coordinate, Roi

from attacca.arrays import Array, LocalArrayIdentifier, NumpyArray, ZarrArray
from attacca.errors import ConfigurationError, VolumeError
from attacca.training.job import TrainingVolume

# A volume up to this size is held in memory by each loader process; of larger ones, this much.
CACHE_BYTES = 512 * 2**20


class CachedArray(Array):
    """Another array, with its most recently used blocks in memory.

    Args:
        array: what is read.
        capacity: bytes to hold.
        block: block size in voxels; the array's chunks by default.
    """

    def __init__(self, array: Array, capacity: int = CACHE_BYTES, block: Coordinate | None = None) -> None:
        self._array = array
        self._capacity = capacity
        self._used = 0
        self._blocks: OrderedDict[Coordinate, np.ndarray] = OrderedDict()
        if block is None:
            chunk = getattr(array, "chunk_size", None)
            block = chunk / array.voxel_size if chunk is not None else Coordinate((64,) * array.dims)
        self._block = block

    def __str__(self) -> str:
        return str(self._array)

    @property
    def attrs(self) -> MutableMapping[str, Any]:
        return self._array.attrs

    @property
    def axes(self) -> list[str]:
        return self._array.axes

    @property
    def voxel_size(self) -> Coordinate:
        return self._array.voxel_size

    @property
    def roi(self) -> Roi:
        return self._array.roi

    @property
    def writable(self) -> bool:
        return False

    @property
    def data(self) -> Any:
        return self._array.data

    @property
    def dtype(self) -> Any:
        return self._array.dtype

    def __getitem__(self, roi: Roi) -> np.ndarray:
        self._check_aligned(roi)
        if not self.roi.contains(roi):
            raise VolumeError(f"{self}: the ROI {roi} is not contained in the array's {self.roi}")
        begin = (roi.begin - self.roi.begin) / self.voxel_size
        shape = roi.shape / self.voxel_size
        lead = self.data.shape[: len(self.axes) - self.dims]
        result = np.empty((*lead, *shape), dtype=self.dtype)
        ranges = [
            range(b // size, -(-(b + s) // size))
            for b, s, size in zip(begin, shape, self._block, strict=True)
        ]
        for index in product(*ranges):
            block = self._get(Coordinate(index))
            target: list[Any] = [Ellipsis]
            source: list[Any] = [Ellipsis]
            for axis, number in enumerate(index):
                first = number * self._block[axis]
                low = max(begin[axis], first)
                high = min(begin[axis] + shape[axis], first + block.shape[len(lead) + axis])
                target.append(slice(low - begin[axis], high - begin[axis]))
                source.append(slice(low - first, high - first))
            result[tuple(target)] = block[tuple(source)]
        return result

    def _get(self, index: Coordinate) -> np.ndarray:
        if index in self._blocks:
            self._blocks.move_to_end(index)
            return self._blocks[index]
        size = self._block * self.voxel_size
        block = self._array[Roi(self.roi.begin + index * size, size).intersect(self.roi)]
        self._blocks[index] = block
        self._used += block.nbytes
        while self._used > self._capacity and len(self._blocks) > 1:
            _, oldest = self._blocks.popitem(last=False)
            self._used -= oldest.nbytes
        return block


def open_cached(identifier: LocalArrayIdentifier) -> Array:
    """The array, in memory if it is small."""
    array = ZarrArray.open_from_array_identifier(identifier)
    if int(np.prod(array.shape)) * np.dtype(array.dtype).itemsize <= CACHE_BYTES:
        return NumpyArray.from_np_array(array[array.roi], array.roi, array.voxel_size, array.axes)
    return CachedArray(array)


class VolumeData:
    """The arrays of one volume, opened, with the rules for what lies outside them.

    Raw data are mirrored at the volume's faces, as prediction does it; outside the labels nothing is known.

    Raises:
        ConfigurationError: raw data and labels do not fit each other.
    """

    def __init__(self, volume: TrainingVolume, stored_targets: bool = False) -> None:
        self.volume = volume
        self.raw = open_cached(volume.raw)
        self.labels = open_cached(volume.labels)
        self.mask = open_cached(volume.mask) if volume.mask is not None else None
        self.target = self.weight = None
        if stored_targets:
            if volume.target is None or volume.weight is None:
                raise ConfigurationError(
                    f"training.targets: from_target_stage, but volume {volume.name} has no stored targets "
                    f"and weights"
                )
            self.target = ZarrArray.open_from_array_identifier(volume.target)
            self.weight = ZarrArray.open_from_array_identifier(volume.weight)
        self._check()

    def _check(self) -> None:
        arrays = {"labels": self.labels, "mask": self.mask, "target": self.target, "weight": self.weight}
        for name, array in arrays.items():
            if array is None:
                continue
            if array.dims != self.raw.dims or array.voxel_size != self.raw.voxel_size:
                raise ConfigurationError(
                    f"volume {self.volume.name}: {name} has voxels of {tuple(array.voxel_size)}, raw data of "
                    f"{tuple(self.raw.voxel_size)}: a network learns from equal ones; resample one of them"
                )
            if any((array.roi.begin - self.raw.roi.begin) % self.raw.voxel_size):
                raise ConfigurationError(
                    f"volume {self.volume.name}: {name} begins at {tuple(array.roi.begin)}, which is not on "
                    f"the voxel "
                    f"grid of the raw data (begin {tuple(self.raw.roi.begin)}, voxels "
                    f"{tuple(self.raw.voxel_size)})"
                )
        if self.labels.roi.intersect(self.raw.roi).empty:
            raise ConfigurationError(
                f"volume {self.volume.name}: labels at {self.labels.roi} and raw data at {self.raw.roi} do "
                f"not overlap"
            )

    @property
    def labelled_roi(self) -> Roi:
        """Where there are labels and raw data."""
        return self.labels.roi.intersect(self.raw.roi)

    @property
    def num_raw_channels(self) -> int:
        """Channels of the raw data; one where they have no channel axis."""
        return self.raw.num_channels or 1

    def read_raw(self, roi: Roi) -> np.ndarray:
        """Raw data (channels, spatial) of any region; mirrored outside the volume."""
        return self._with_channels(self.raw, self.raw.read(roi, "reflect"))

    def read_labels(self, roi: Roi) -> np.ndarray:
        """Labels (channels, spatial) of any region; outside, the value for unlabelled voxels, or 0."""
        fill = self.volume.unlabelled if self.volume.unlabelled is not None else 0
        return self._with_channels(self.labels, self.labels.read(roi, fill))

    def read_mask(self, roi: Roi, labels: np.ndarray | None = None) -> np.ndarray:
        """1 where labels are known, uint8 (1, spatial); 0 outside the labels."""
        shape = roi.shape / self.raw.voxel_size
        valid = np.zeros(tuple(shape), dtype=bool)
        inside = roi.intersect(self.labelled_roi)
        if not inside.empty:
            begin = (inside.begin - roi.begin) / self.raw.voxel_size
            valid[tuple(slice(b, b + s) for b, s in zip(begin, inside.shape / self.raw.voxel_size))] = True
        if self.volume.unlabelled is not None:
            known = self.read_labels(roi) if labels is None else labels
            valid &= (known != self.volume.unlabelled).any(axis=0)
        if self.mask is not None:
            stored = self._with_channels(self.mask, self.mask.read(roi, 0))
            valid &= (stored != 0).any(axis=0)
        return valid[np.newaxis].astype(np.uint8)

    @staticmethod
    def read_stored(array: Array, roi: Roi) -> np.ndarray:
        """Stored targets or weights (channels, spatial) as float32 in their original range; 0 outside."""
        return VolumeData._with_channels(array, array.read_values(roi, 0))

    @staticmethod
    def _with_channels(array: Array, data: np.ndarray) -> np.ndarray:
        return data if data.ndim > array.dims else data[np.newaxis]
