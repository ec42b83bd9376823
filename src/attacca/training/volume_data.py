"""Volumes as sources of training samples."""

import numpy as np
from funlib.geometry import Roi

from attacca.arrays import Array, ZarrArray
from attacca.errors import ConfigurationError
from attacca.training.cached_array import open_cached
from attacca.training.job import TrainingVolume


class VolumeData:
    """Open arrays of one volume, with their values outside the volume.

    Raw data are mirrored at the faces of the volume, as in prediction. Voxels outside the labels are masked out.

    Args:
        volume: identifiers of the arrays.
        stored_targets: open the arrays of the target stage too.

    Raises:
        ConfigurationError: raw data and labels do not fit each other, or targets are missing.
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
                    f"training.targets: from_target_stage, but volume {volume.name} has no stored targets and weights; run "
                    "the target stage, or use after_augmentation"
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
