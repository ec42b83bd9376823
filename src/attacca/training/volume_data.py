"""Volumes as sources of training samples."""

import numpy as np
from funlib.geometry import Coordinate, Roi

from attacca.arrays import Array, ZarrArray
from attacca.errors import ConfigurationError
from attacca.training.cached_array import open_cached
from attacca.training.job import TrainingVolume
from attacca.training.rescaled_array import RescaledArray, rescale_roi


class VolumeData:
    """Open arrays of one volume, with their values outside the volume.

    Raw data are mirrored at the faces of the volume, as in prediction. Voxels outside the labels are masked out.

    Args:
        volume: identifiers of the arrays.
        stored_targets: open the arrays of the target stage too.
        voxel_size: voxel size under which all arrays are read, with the first voxel of the raw data at 0; that of the raw
            data and their own positions by default.

    Raises:
        ConfigurationError: raw data and labels do not fit each other, or targets are missing.
    """

    def __init__(
        self, volume: TrainingVolume, stored_targets: bool = False, voxel_size: Coordinate | None = None
    ) -> None:
        self.volume = volume
        self.raw = open_cached(volume.raw)
        self.labels = open_cached(volume.labels)
        self.mask = open_cached(volume.mask) if volume.mask is not None else None
        self.target = self.weight = None
        if stored_targets:
            if volume.target is None or volume.weight is None:
                raise ConfigurationError(
                    f"training.targets: from_target_stage, but volume {volume.name} has no stored targets and weights; run "
                    "the target stage, or use after_augmentation"
                )
            self.target = ZarrArray.open_from_array_identifier(volume.target)
            self.weight = ZarrArray.open_from_array_identifier(volume.weight)
        self._check()
        self._stored_grid: tuple[Coordinate, Coordinate] | None = None
        if voxel_size is not None and voxel_size != self.raw.voxel_size:
            origin = self.raw.roi.begin
            self._stored_grid = (self.raw.voxel_size, origin)
            for name in ("raw", "labels", "mask", "target", "weight"):
                array = getattr(self, name)
                if array is not None:
                    setattr(self, name, RescaledArray(array, voxel_size, origin))

    def convert_roi(self, roi: Roi) -> Roi:
        """Return a ROI of the volume, grown to whole voxels, in the coordinates under which its arrays are read."""
        if self._stored_grid is None:
            return roi.snap_to_grid(self.raw.voxel_size, "grow")
        voxel_size, origin = self._stored_grid
        shifted = roi.shift(-origin).snap_to_grid(voxel_size, "grow")
        return rescale_roi(shifted, voxel_size, self.raw.voxel_size, Coordinate((0,) * origin.dims))

    def convert_points(self, points: np.ndarray) -> np.ndarray:
        """Return points of the volume, (number, axes), in the coordinates under which its arrays are read."""
        if self._stored_grid is None:
            return points
        voxel_size, origin = self._stored_grid
        converted: np.ndarray = (
            (points - np.array(origin)) / np.array(voxel_size) * np.array(self.raw.voxel_size)
        )
        return converted

    def _check(self) -> None:
        arrays = {"labels": self.labels, "mask": self.mask, "target": self.target, "weight": self.weight}
        for name, array in arrays.items():
            if array is None:
                continue
            if array.dims != self.raw.dims or array.voxel_size != self.raw.voxel_size:
                raise ConfigurationError(
                    f"volume {self.volume.name}: {name} has voxels of {tuple(array.voxel_size)}, raw data of "
                    f"{tuple(self.raw.voxel_size)}: a network needs equal ones; resample one of them"
                )
            if any((array.roi.begin - self.raw.roi.begin) % self.raw.voxel_size):
                raise ConfigurationError(
                    f"volume {self.volume.name}: {name} has the offset {tuple(array.roi.begin)}, which is not on the voxel "
                    f"grid of the raw data (offset {tuple(self.raw.roi.begin)}, voxels {tuple(self.raw.voxel_size)}); "
                    "correct the offset"
                )
        if self.labels.roi.intersect(self.raw.roi).empty:
            raise ConfigurationError(
                f"volume {self.volume.name}: labels at {self.labels.roi} and raw data at {self.raw.roi} do not overlap; "
                "correct their offsets"
            )

    @property
    def labeled_roi(self) -> Roi:
        """Region with labels and raw data, in world units."""
        return self.labels.roi.intersect(self.raw.roi)

    @property
    def num_raw_channels(self) -> int:
        """Channels of the raw data; 1 without a channel axis."""
        return self.raw.num_channels or 1

    def read_raw(self, roi: Roi) -> np.ndarray:
        """Return raw data (channels, *spatial) of any region; mirrored outside the volume."""
        return self._add_channel_axis(self.raw, self.raw.read(roi, "reflect"))

    def read_labels(self, roi: Roi) -> np.ndarray:
        """Return labels (channels, *spatial) of any region; outside, the value of unlabeled voxels, or 0."""
        fill = self.volume.unlabelled if self.volume.unlabelled is not None else 0
        return self._add_channel_axis(self.labels, self.labels.read(roi, fill))

    def read_mask(self, roi: Roi, labels: np.ndarray | None = None) -> np.ndarray:
        """Return the mask of annotated voxels, uint8 (1, *spatial); 0 outside the labels.

        Args:
            roi: world units.
            labels: result of ``read_labels(roi)``, if it is available.
        """
        shape = roi.shape / self.raw.voxel_size
        valid = np.zeros(tuple(shape), dtype=bool)
        overlap = roi.intersect(self.labeled_roi)
        if not overlap.empty:
            offset = (overlap.begin - roi.begin) / self.raw.voxel_size
            shape = overlap.shape / self.raw.voxel_size
            valid[tuple(slice(o, o + s) for o, s in zip(offset, shape))] = True
        if self.volume.unlabelled is not None:
            known = self.read_labels(roi) if labels is None else labels
            valid &= (known != self.volume.unlabelled).any(axis=0)
        if self.mask is not None:
            stored = self._add_channel_axis(self.mask, self.mask.read(roi, 0))
            valid &= (stored != 0).any(axis=0)
        return valid[np.newaxis].astype(np.uint8)

    @staticmethod
    def read_stored(array: Array, roi: Roi) -> np.ndarray:
        """Return stored targets or weights (channels, *spatial), float32, in their original range; 0 outside."""
        return VolumeData._add_channel_axis(array, array.read_values(roi, 0))

    @staticmethod
    def _add_channel_axis(array: Array, data: np.ndarray) -> np.ndarray:
        return data if data.ndim > array.dims else data[np.newaxis]
