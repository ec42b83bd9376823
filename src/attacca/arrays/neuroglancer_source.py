"""Neuroglancer layers of zarr arrays."""

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from attacca.arrays.zarr_array import ZarrArray

_SI = {"nanometer": ("nm", 1), "angstrom": ("nm", 0.1), "micrometer": ("um", 1), "picometer": ("nm", 1e-3)}


class NeuroglancerSource:
    """Mixin of ``ZarrArray`` with the methods by which DaCapo shows an array in Neuroglancer."""

    def _can_neuroglance(self: "ZarrArray") -> bool:  # type: ignore[misc]
        """Return True for an array of numbers with two or three spatial axes."""
        return self.dims in (2, 3) and np.dtype(self.dtype).kind in "buif"

    def _source_name(self: "ZarrArray") -> str:  # type: ignore[misc]
        """Return the name of the layer."""
        return self.name or self.dataset

    def _output_dimensions(self: "ZarrArray") -> dict[str, list[Any]]:  # type: ignore[misc]
        """Return axis name to voxel size and unit, in units that Neuroglancer supports; channels are ``c^``."""
        unit, factor = _SI.get(self.unit, ("m", 1))
        lead = {f"{axis}^": [1, ""] for axis in self.axes if axis not in self.spatial_axes}
        sizes = {axis: [int(size) * factor, unit] for axis, size in zip(self.spatial_axes, self.voxel_size)}
        return {**lead, **sizes}

    def _transform_matrix(self: "ZarrArray") -> list[list[float]]:  # type: ignore[misc]
        """Return the affine matrix from voxel indices to output voxels, one row per axis: identity and offset."""
        lead = len(self.axes) - self.dims
        offset = [0.0] * lead + [begin / size for begin, size in zip(self._data_begin, self.voxel_size)]
        rows = np.concatenate([np.eye(len(self.axes)), np.array(offset)[:, None]], axis=1)
        return rows.tolist()

    def _neuroglancer_source(self: "ZarrArray") -> Any:  # type: ignore[misc]
        """Return a ``neuroglancer.LocalVolume`` that reads voxels on demand."""
        # deferred: neuroglancer takes about a second to import
        import neuroglancer

        dimensions = self._output_dimensions()
        space = neuroglancer.CoordinateSpace(
            names=list(dimensions),
            units=[unit for _, unit in dimensions.values()],
            scales=[scale for scale, _ in dimensions.values()],
        )
        offset = [row[-1] for row in self._transform_matrix()]
        kind = "segmentation" if self._is_segmentation() else "image"
        return neuroglancer.LocalVolume(
            data=self.data,
            dimensions=space,
            voxel_offset=[round(value) for value in offset],
            volume_type=kind,
        )

    def _neuroglancer_layer(self: "ZarrArray") -> tuple[Any, dict[str, Any]]:  # type: ignore[misc]
        """Return the layer and its options: a segmentation for 32- or 64-bit ids, otherwise an image."""
        # deferred: neuroglancer takes about a second to import
        import neuroglancer

        source = self._neuroglancer_source()
        if self._is_segmentation():
            return neuroglancer.SegmentationLayer(source=source), {"visible": False}
        return neuroglancer.ImageLayer(source=source), {"visible": True}

    def _is_segmentation(self: "ZarrArray") -> bool:  # type: ignore[misc]
        return np.dtype(self.dtype).kind in "ui" and np.dtype(self.dtype).itemsize >= 4
