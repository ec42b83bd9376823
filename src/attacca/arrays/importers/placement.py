"""Where the sources of a volume lie in the world, and whether they fit each other."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from funlib.geometry import Coordinate, Roi

from attacca.arrays.importers.opening import open_source
from attacca.arrays.importers.source import SinglePlane, Source
from attacca.config.units import whole_coordinate
from attacca.config.volumes import ArraySource, VolumeConfig
from attacca.errors import VolumeError

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PlacedSource:
    """A source and the box that it fills, in world units."""

    source: Source
    roi: Roi
    config: ArraySource


@dataclass(frozen=True)
class PlacedVolume:
    """The sources of a volume on their common voxel grid."""

    voxel_size: Coordinate
    roi: Roi
    raw: PlacedSource
    labels: tuple[PlacedSource, ...]
    mask: PlacedSource | None


def place_sources(config: VolumeConfig) -> PlacedVolume:
    """Open all sources of a volume and put them on one grid.

    Raises:
        VolumeError: axes, voxel sizes or places of the sources do not fit each other or the configured ROI.
        MissingInputError: a source is not there.
    """
    assert config.raw is not None
    configs = {"raw": [config.raw], "labels": config.labels.sources if config.labels else []}
    configs["mask"] = [config.mask] if config.mask else []
    opened = {key: [open_source(source) for source in sources] for key, sources in configs.items()}
    dims = _dims(config, opened["raw"][0])
    for key, sources in opened.items():
        opened[key] = [_with_dims(key, source, dims) for source in sources]
    voxel_size = _voxel_size(config, [source for sources in opened.values() for source in sources], dims)
    placed = {
        key: tuple(
            PlacedSource(source, _place(config, source, given, voxel_size), given)
            for source, given in zip(opened[key], configs[key])
        )
        for key in opened
    }
    raw = placed["raw"][0]
    roi = _volume_roi(config, raw, voxel_size)
    for key in ("labels", "mask"):
        for other in placed[key]:
            if any((other.roi.begin - raw.roi.begin) % voxel_size):
                raise VolumeError(
                    f"{other.source.name}: the {key} begin at {tuple(other.roi.begin)}, which is not a whole "
                    f"number of voxels of {tuple(voxel_size)} from the image's {tuple(raw.roi.begin)} in "
                    f"{config.unit}; correct their offset"
                )
            if other.roi.intersect(roi).empty:
                raise VolumeError(
                    f"the {key} do not overlap the image: {other.source.name} covers {described(other.roi)}, "
                    f"the image {described(roi)} {config.unit}; correct offset, voxel_size or roi"
                )
    return PlacedVolume(voxel_size, roi, raw, placed["labels"], next(iter(placed["mask"]), None))


def described(roi: Roi) -> str:
    """A ROI as people read it: ``0 to 1700, 0 to 2500, 0 to 2500``."""
    return ", ".join(f"{begin} to {end}" for begin, end in zip(roi.begin, roi.end))


def _dims(config: VolumeConfig, raw: Source) -> int:
    given = config.voxel_size or config.offset or (config.roi.offset if config.roi else None) or config.chunk
    return len(given) if given is not None else raw.dims


def _with_dims(key: str, source: Source, dims: int) -> Source:
    if "c" in source.axes:
        raise VolumeError(
            f"{source.name} has {source.num_channels} channels, a colour image perhaps; choose one with "
            "'channel: 0' (1, 2, ...), or convert it to grey values"
        )
    if source.dims == 3 and dims == 2 and source.spatial_shape[0] == 1:
        return SinglePlane(source)
    if source.dims != dims:
        numbers = "(y, x)" if dims == 2 else "(z, y, x)"
        raise VolumeError(
            f"{key}: {source.name} has {source.dims} axes with {source.spatial_shape} voxels, but the volume "
            f"has {dims} {numbers}; correct the path, or the number of values of voxel_size, offset and roi"
        )
    if 0 in source.spatial_shape:
        raise VolumeError(f"{key}: {source.name} is empty: its shape is {source.spatial_shape}")
    return source


def _voxel_size(config: VolumeConfig, sources: Sequence[Source], dims: int) -> Coordinate:
    said = {
        source.name: (source.found.voxel_size, source.found.unit or config.unit)
        for source in sources
        if source.found.voxel_size is not None and len(source.found.voxel_size) == dims
    }
    if config.voxel_size is not None:
        voxel_size = whole_coordinate(config.voxel_size, config.unit, "voxel_size")
        for name, (values, unit) in said.items():
            if unit == config.unit and tuple(values) != tuple(voxel_size):
                logger.warning(
                    "%s says that its voxel size is %s %s; the configuration's %s is used",
                    name,
                    values,
                    unit,
                    tuple(voxel_size),
                )
        return voxel_size
    sizes = {
        name: whole_coordinate(values, unit, f"{name}: the voxel size", config.unit)
        for name, (values, unit) in said.items()
    }
    if not sizes:
        axes = "[z, y, x]" if dims == 3 else "[y, x]"
        raise VolumeError(
            f"{sources[0].name} does not say how large its voxels are; give voxel_size: {axes} "
            f"in {config.unit}"
        )
    if len(set(sizes.values())) > 1:
        text = "; ".join(f"{name}: {tuple(size)}" for name, size in sizes.items())
        raise VolumeError(
            f"the files of this volume have different voxel sizes in {config.unit}: {text}. Bring them to "
            "one size, or give voxel_size if a file is wrong"
        )
    return next(iter(sizes.values()))


def _place(config: VolumeConfig, source: Source, given: ArraySource, voxel_size: Coordinate) -> Roi:
    shape = Coordinate(source.spatial_shape) * voxel_size
    found = source.found.offset
    if given.offset is not None:
        begin = whole_coordinate(given.offset, config.unit, f"{source.name}: offset")
    elif found is not None and len(found) == len(voxel_size):
        unit = source.found.unit or config.unit
        begin = whole_coordinate(found, unit, f"{source.name}: the offset", config.unit)
    elif config.offset is not None:
        begin = whole_coordinate(config.offset, config.unit, "offset")
    else:
        begin = Coordinate((0,) * len(voxel_size))
    if begin.dims != voxel_size.dims:
        raise VolumeError(f"{source.name}: the offset {tuple(begin)} needs {voxel_size.dims} numbers")
    return Roi(begin, shape)


def _volume_roi(config: VolumeConfig, raw: PlacedSource, voxel_size: Coordinate) -> Roi:
    if config.roi is None:
        return raw.roi
    roi = Roi(
        whole_coordinate(config.roi.offset, config.unit, "roi.offset"),
        whole_coordinate(config.roi.shape, config.unit, "roi.shape"),
    )
    if not raw.roi.contains(roi):
        raise VolumeError(
            f"the roi {described(roi)} is not inside the image {raw.source.name}, which covers "
            f"{described(raw.roi)} {config.unit}"
        )
    if any((roi.begin - raw.roi.begin) % voxel_size) or any(roi.shape % voxel_size):
        steps = (roi.begin - raw.roi.begin) / voxel_size
        begin = raw.roi.begin + steps * voxel_size
        shape = Coordinate(max(1, n) for n in (roi.end - begin) / voxel_size) * voxel_size
        raise VolumeError(
            f"the roi {described(roi)} does not fall on whole voxels of {tuple(voxel_size)} {config.unit}; "
            f"the nearest that does is offset: {list(begin)}, shape: {list(shape)}"
        )
    return roi
