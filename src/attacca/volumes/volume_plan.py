"""Plan of an import: arrays with their dtypes and regions, and blocks. Only headers are read."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from funlib.geometry import Coordinate, Roi

from attacca.arrays.zarr_opening import ZarrArrayConfig
from attacca.config.volumes import ClassSource, VolumeConfig
from attacca.errors import VolumeError
from attacca.volumes.placement import PlacedSource, PlacedVolume, place_sources
from attacca.volumes.readers.source import SelectedChannel, Source, choose_missing_chunks
from attacca.volumes.readers.zarr_container import ZarrSource
from attacca.volumes.source_problems import SourceProblem, SourceProblems
from attacca.volumes.tissue.geometry import TissueGeometry

# Approximate voxels per chunk: small volumes have several chunks, large ones not too many files.
_CHUNK_VOXELS = {2: 512**2, 3: 64**3}
_LARGE = 512**3


@dataclass(frozen=True)
class PlannedArray:
    """One array of a volume.

    Attributes:
        name: ``raw``, ``labels`` or ``mask``.
        roi: its region, in world units; contained in the volume's ROI.
        dtype: stored dtype.
        num_channels: size of the channel axis; None without one.
        sources: sources of its voxels; empty for synthetic tissue.
        link: array that is used in place instead of a copy; None for a copy.
    """

    name: str
    roi: Roi
    dtype: np.dtype
    num_channels: int | None = None
    sources: tuple[PlacedSource, ...] = ()
    link: ZarrArrayConfig | None = None


@dataclass(frozen=True)
class VolumePlan:
    """All arrays of a volume, and the blocks in which they are imported.

    Attributes:
        axes: names of the spatial axes.
        roi: region of the image, in world units.
        block_size: size of a block of the import in world units; the chunk of the image.
        arrays: arrays by name.
        voxel_size_from: origin of the voxel size: ``configuration``, ``default``, or ``file`` with its name and attribute.
        warnings: settings that are valid, but probably unintended.
    """

    axes: tuple[str, ...]
    voxel_size: Coordinate
    unit: str
    roi: Roi
    block_size: Coordinate
    arrays: dict[str, PlannedArray]
    voxel_size_from: str = "configuration"
    warnings: tuple[str, ...] = ()

    @property
    def memory_per_block(self) -> int:
        """Approximate memory of the import of one block in bytes: voxels that are read, converted and compressed."""
        if all(array.link is not None for array in self.arrays.values()):
            return 0
        voxels = math.prod(self.block_size / self.voxel_size)
        bytes_each = sum(array.dtype.itemsize * (array.num_channels or 1) for array in self.arrays.values())
        return voxels * (4 * bytes_each + 40)


def plan_volume(config: VolumeConfig) -> VolumePlan:
    """Open the sources of a volume and check them, without reading voxels.

    Raises:
        VolumeError, MissingInputError: a source does not exist or contradicts the configuration.
    """
    problems = SourceProblems()
    plan = _examine(config, problems)
    problems.check()
    assert plan is not None
    return plan


def examine_volume(config: VolumeConfig) -> tuple[VolumePlan | None, list[SourceProblem]]:
    """Return the plan of a volume, None if it cannot be imported, and all its problems."""
    problems = SourceProblems()
    plan = _examine(config, problems)
    return (None if problems.found else plan), problems.found


def _examine(config: VolumeConfig, problems: SourceProblems) -> VolumePlan | None:
    if config.synthetic is not None:
        with problems.at("synthetic"):
            return _plan_synthetic(config)
        return None
    placed = place_sources(config, problems)
    if placed is None:
        return None
    with problems.at():
        return _plan_sources(config, placed)
    return None


def _plan_sources(config: VolumeConfig, placed: PlacedVolume) -> VolumePlan:
    voxel_size = placed.voxel_size
    raw_dtype = placed.raw.source.dtype
    stored = np.dtype({"b": "u1", "f": "f4"}.get(raw_dtype.kind, raw_dtype.str))
    arrays = {"raw": _plan_array(config, "raw", placed.roi, stored, None, (placed.raw,), voxel_size)}
    if placed.labels:
        assert config.labels is not None
        roi = placed.roi
        for source in placed.labels:
            roi = roi.intersect(source.roi)
        if roi.empty:
            raise VolumeError("the sources of the classes do not overlap", fix="correct their offsets")
        dtype = _choose_labels_dtype(config, placed.labels)
        channels = config.labels.num_channels
        arrays["labels"] = _plan_array(config, "labels", roi, dtype, channels, placed.labels, voxel_size)
    if placed.mask is not None:
        roi = placed.roi.intersect(placed.mask.roi)
        arrays["mask"] = _plan_array(
            config, "mask", roi, np.dtype(np.uint8), None, (placed.mask,), voxel_size
        )
    axes = ("z", "y", "x")[3 - len(voxel_size) :]
    if all(array.link is not None for array in arrays.values()):
        block_size = placed.roi.shape
    else:
        block_size = (
            Coordinate(choose_chunk_shape(config, placed.roi.shape / voxel_size, voxel_size)) * voxel_size
        )
    return VolumePlan(
        axes,
        voxel_size,
        config.unit,
        placed.roi,
        block_size,
        arrays,
        placed.voxel_size_from,
        placed.warnings,
    )


def choose_chunk_shape(
    config: VolumeConfig, shape: Sequence[int], voxel_size: Sequence[int]
) -> tuple[int, ...]:
    """Return the shape of a chunk in voxels: the configured one, or about a cube in world units with powers of two.

    >>> config = VolumeConfig.model_validate({"synthetic": {"shape": [16, 1024, 1024]}})
    >>> choose_chunk_shape(config, (16, 1024, 1024), (500, 46, 46))
    (16, 128, 128)
    """
    if config.chunk is not None:
        return tuple(min(a, int(b)) for a, b in zip(config.chunk, shape))
    voxels = _CHUNK_VOXELS[len(shape)] * (8 if math.prod(shape) > _LARGE and len(shape) == 3 else 1)
    mean = math.prod(voxel_size) ** (1 / len(shape))
    edges = [voxels ** (1 / len(shape)) * mean / size for size in voxel_size]
    return tuple(min(max(1, 2 ** round(math.log2(edge))), int(n)) for edge, n in zip(edges, shape))


def _plan_synthetic(config: VolumeConfig) -> VolumePlan:
    tissue = TissueGeometry(config)
    kind = tissue.settings.labels
    dtype = np.dtype(np.uint8) if kind == "classes" else tissue.label_dtype
    channels = 2 if kind == "channels" else None
    arrays = {
        "raw": PlannedArray("raw", tissue.roi, np.dtype(np.uint8)),
        "labels": PlannedArray("labels", tissue.roi, dtype, channels),
    }
    chunk = Coordinate(choose_chunk_shape(config, tissue.settings.shape, tissue.voxel_size))
    axes = ("z", "y", "x")[3 - tissue.dims :]
    origin = "configuration" if config.voxel_size is not None else "default"
    return VolumePlan(
        axes, tissue.voxel_size, config.unit, tissue.roi, chunk * tissue.voxel_size, arrays, origin
    )


def _choose_labels_dtype(config: VolumeConfig, sources: Sequence[PlacedSource]) -> np.dtype:
    assert config.labels is not None
    if config.labels.classes is not None and config.labels.combine == "ids":
        return np.dtype(np.uint8 if len(sources) < 256 else np.uint16)
    if config.labels.unlabelled is not None and config.labels.unlabelled < 0:
        return np.dtype(np.uint64)
    return max((np.dtype(f"u{source.source.dtype.itemsize}") for source in sources), key=lambda d: d.itemsize)


def _plan_array(
    config: VolumeConfig,
    name: str,
    roi: Roi,
    dtype: np.dtype,
    num_channels: int | None,
    sources: tuple[PlacedSource, ...],
    voxel_size: Coordinate,
) -> PlannedArray:
    link = None
    axes = _describe_link(config, name, sources)
    if axes is not None:
        source, container = sources[0], _find_container(sources[0].source)
        assert container is not None
        link = ZarrArrayConfig(
            container.identifier.container,
            container.identifier.dataset,
            unit=config.unit,
            voxel_size=voxel_size,
            offset=source.roi.begin - Coordinate(container.begin) * voxel_size,
            roi=roi,
            contents=name,
            missing_chunks=choose_missing_chunks(name, source.config),
            **axes,
        )
    return PlannedArray(name, roi, dtype, num_channels, sources, link)


def _describe_link(config: VolumeConfig, name: str, sources: Sequence[PlacedSource]) -> dict[str, Any] | None:
    """Return the axes of an array that is used in place, see ``ZarrSource.describe_link``; None if it is copied."""
    # Masks are converted to 0 and 1, and negative labels to positive ones.
    is_converted = name == "mask" or isinstance(sources[0].config, ClassSource)
    if name == "labels" and config.labels is not None and (config.labels.unlabelled or 0) < 0:
        is_converted = True
    source = sources[0].source
    container = _find_container(source)
    if not config.in_place or is_converted or len(sources) > 1 or container is None:
        return None
    return container.describe_link(source.channel if isinstance(source, SelectedChannel) else None)


def _find_container(source: Source) -> ZarrSource | None:
    """Return the container of a source or of its chosen channel; None for other formats."""
    stored = source.source if isinstance(source, SelectedChannel) else source
    return stored if isinstance(stored, ZarrSource) else None
