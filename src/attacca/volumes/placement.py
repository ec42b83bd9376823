"""Where the sources of a volume lie in the world, and whether they fit each other."""

from collections.abc import Sequence
from dataclasses import dataclass

from funlib.geometry import Coordinate, Roi

from attacca.config.units import convert_length, to_whole_coordinate
from attacca.config.volumes import ArraySource, VolumeConfig
from attacca.errors import VolumeError
from attacca.volumes.readers.open_source import choose_channel, guess_wrong_key, open_channels
from attacca.volumes.readers.source import SinglePlane, Source
from attacca.volumes.source_problems import Key, SourceProblems


@dataclass(frozen=True)
class PlacedSource:
    """A source and the box that it fills, in world units.

    Attributes:
        offset_from: who says where it begins: ``configuration``, ``file``, or ``default``.
    """

    source: Source
    roi: Roi
    config: ArraySource
    offset_from: str


@dataclass(frozen=True)
class PlacedVolume:
    """The sources of a volume on their common voxel grid.

    Attributes:
        voxel_size_from: who says the voxel size: ``configuration`` or ``file``.
        warnings: what can be computed, but is hardly meant.
    """

    voxel_size: Coordinate
    voxel_size_from: str
    roi: Roi
    raw: PlacedSource
    labels: tuple[PlacedSource, ...]
    mask: PlacedSource | None
    warnings: tuple[str, ...]


def source_configs(config: VolumeConfig) -> list[tuple[Key, ArraySource]]:
    """All sources of a volume with their keys, the image first."""
    found: list[tuple[Key, ArraySource]] = []
    if config.raw is not None:
        found.append((("raw",), config.raw))
    if config.labels is not None and config.labels.classes is not None:
        found += [(("labels", "classes", i), source) for i, source in enumerate(config.labels.classes)]
    elif config.labels is not None:
        found.append((("labels",), config.labels.sources[0]))
    if config.mask is not None:
        found.append((("mask",), config.mask))
    return found


def place_sources(config: VolumeConfig, problems: SourceProblems) -> PlacedVolume | None:
    """Open all sources of a volume and put them on one grid.

    Args:
        problems: takes what is wrong: sources that are not there or cannot be read; axes, voxel sizes or places
            that do not fit each other or the configured ROI.

    Returns:
        None where there are problems.
    """
    configs = dict(source_configs(config))
    opened = _opened(config, configs, problems)
    if problems.found:
        return None
    warnings = [warning for source in opened.values() for warning in source.warnings]
    dims = opened["raw",].dims
    voxel_size = None
    with problems.at("voxel_size"):
        voxel_size, voxel_size_from, doubts = _voxel_size(config, list(opened.values()), dims)
        warnings += doubts
    if voxel_size is None:
        return None
    placed: dict[Key, PlacedSource] = {}
    for key, source in opened.items():
        own = configs[key].offset is not None
        with problems.at(*((*key, "offset") if own else ("offset",) if config.offset is not None else key)):
            placed[key] = _placed(config, source, configs[key], voxel_size)
    if problems.found:
        return None
    raw = placed["raw",]
    roi = raw.roi
    with problems.at("roi"):
        roi = _volume_roi(config, raw, voxel_size)
    for key, other in placed.items():
        if key != ("raw",):
            with problems.at(*key, *(["offset"] if other.config.offset is not None else [])):
                warnings += _doubts_of_place(config, str(key[0]), other, raw, roi, voxel_size)
    labels = tuple(source for key, source in placed.items() if key[0] == "labels")
    mask = placed.get(("mask",))
    return PlacedVolume(voxel_size, voxel_size_from, roi, raw, labels, mask, tuple(warnings))


def _opened(
    config: VolumeConfig, configs: dict[Key, ArraySource], problems: SourceProblems
) -> dict[Key, Source]:
    """The sources that can be opened, with the axes of the volume."""
    opened: dict[Key, Source] = {}
    for key, given in configs.items():
        source = None
        with problems.at(*key, guess_wrong_key(given)):
            source = open_channels(given)
        if source is not None:
            with problems.at(*key, "channel"):
                opened[key] = choose_channel(source, given)
    raw = opened.get(("raw",))
    dims = _dims(config, raw) if raw is not None else None
    for key, source in list(opened.items()):
        with problems.at(*key, guess_wrong_key(configs[key])):
            _check_kind(str(key[0]), source)
            if dims is not None:
                opened[key] = _with_dims(str(key[0]), source, dims)
    return opened


def _check_kind(key: str, source: Source) -> None:
    if key == "labels" and source.dtype.kind == "f":
        raise VolumeError(
            f"{source.name} holds floating-point numbers ({source.dtype}); labels are whole "
            "numbers. Convert the file to an integer type, or check that it is not a probability map"
        )
    if key == "labels" and source.dtype.kind not in "bui":
        raise VolumeError(f"{source.name} holds {source.dtype}; labels are whole-number ids")
    if source.dtype.kind not in "buif":
        raise VolumeError(f"{source.name} holds {source.dtype}; expected numbers")


def _doubts_of_place(
    config: VolumeConfig, key: str, other: PlacedSource, raw: PlacedSource, roi: Roi, voxel_size: Coordinate
) -> list[str]:
    """What looks wrong with the place of labels or a mask; what is wrong for certain is raised."""
    if any((other.roi.begin - raw.roi.begin) % voxel_size):
        raise VolumeError(
            f"{other.source.name}: the {key} begin at {tuple(other.roi.begin)}, which is not a whole "
            f"number of voxels of {tuple(voxel_size)} from the image's {tuple(raw.roi.begin)} in "
            f"{config.unit}; correct their offset"
        )
    if other.roi.intersect(roi).empty:
        raise VolumeError(
            f"the {key} do not overlap the image: {other.source.name} covers {format_roi(other.roi)}, "
            f"the image {format_roi(roi)} {config.unit}; correct offset, voxel_size or roi"
        )
    if raw.roi.contains(other.roi):
        return []
    said = {
        "configuration": "the configuration says",
        "file": "its file says",
        "default": "nobody says, so 0",
    }
    begins = (
        f"where the image begins {said[raw.offset_from]}, where the {key} begin {said[other.offset_from]}"
    )
    text = (
        f"the {key} stick out of the image: {other.source.name} has {other.source.spatial_shape} voxels and "
        f"covers {format_roi(other.roi)}, the image {raw.source.name} has {raw.source.spatial_shape} and covers "
        f"{format_roi(raw.roi)} {config.unit}"
    )
    if config.roi is not None:
        return [f"{text}; what lies outside of the roi {format_roi(roi)} is left out"]
    whole = f"{{ offset: {list(raw.roi.begin)}, shape: {list(raw.roi.shape)} }}"
    gaps = "".join(f". {warning}" for warning in (*raw.source.warnings, *other.source.warnings))
    raise VolumeError(
        f"{text}; {begins}. Correct the offset, the order of the axes or the path; where the {key} are larger on "
        f"purpose, say which part counts with 'roi', the whole image for example: roi: {whole}{gaps}"
    )


def format_roi(roi: Roi) -> str:
    """A ROI as people read it: ``0 to 1700, 0 to 2500, 0 to 2500``."""
    return ", ".join(f"{begin} to {end}" for begin, end in zip(roi.begin, roi.end))


def _dims(config: VolumeConfig, raw: Source) -> int:
    given = config.voxel_size or config.offset or (config.roi.offset if config.roi else None) or config.chunk
    return len(given) if given is not None else raw.dims


def _with_dims(key: str, source: Source, dims: int) -> Source:
    if "c" in source.axes:
        raise VolumeError(
            f"{source.name} has {source.num_channels} channels, a color image perhaps; choose one with "
            "'channel: 0' (1, 2, ...), or convert it to gray values"
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


def _voxel_size(
    config: VolumeConfig, sources: Sequence[Source], dims: int
) -> tuple[Coordinate, str, list[str]]:
    """The voxel size, who says it, and doubts about it."""
    said = {
        source.name: (source.found.voxel_size, source.found.unit or config.unit)
        for source in sources
        if source.found.voxel_size is not None and len(source.found.voxel_size) == dims
    }
    if config.voxel_size is not None:
        voxel_size = to_whole_coordinate(config.voxel_size, config.unit, "voxel_size")
        doubts = [
            f"{name} says that its voxel size is {list(values)} {unit}; the configuration's {list(voxel_size)} "
            f"{config.unit} is used"
            for name, (values, unit) in said.items()
            if any(
                abs(a - b) > 1e-6 * b for a, b in zip(convert_length(values, unit, config.unit), voxel_size)
            )
        ]
        return voxel_size, "configuration", doubts
    sizes = {
        name: to_whole_coordinate(values, unit, f"{name}: the voxel size", config.unit)
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
    return next(iter(sizes.values())), "file", []


def _placed(config: VolumeConfig, source: Source, given: ArraySource, voxel_size: Coordinate) -> PlacedSource:
    shape = Coordinate(source.spatial_shape) * voxel_size
    found, said_by = source.found.offset, "configuration"
    if given.offset is not None:
        begin = to_whole_coordinate(given.offset, config.unit, f"{source.name}: offset")
    elif found is not None and len(found) == len(voxel_size):
        unit = source.found.unit or config.unit
        begin, said_by = to_whole_coordinate(found, unit, f"{source.name}: the offset", config.unit), "file"
    elif config.offset is not None:
        begin = to_whole_coordinate(config.offset, config.unit, "offset")
    else:
        begin, said_by = Coordinate((0,) * len(voxel_size)), "default"
    if begin.dims != voxel_size.dims:
        raise VolumeError(f"{source.name}: the offset {tuple(begin)} needs {voxel_size.dims} numbers")
    return PlacedSource(source, Roi(begin, shape), given, said_by)


def _volume_roi(config: VolumeConfig, raw: PlacedSource, voxel_size: Coordinate) -> Roi:
    if config.roi is None:
        return raw.roi
    roi = Roi(
        to_whole_coordinate(config.roi.offset, config.unit, "roi.offset"),
        to_whole_coordinate(config.roi.shape, config.unit, "roi.shape"),
    )
    if not raw.roi.contains(roi):
        raise VolumeError(
            f"the roi {format_roi(roi)} is not inside the image {raw.source.name}, which covers "
            f"{format_roi(raw.roi)} {config.unit}"
        )
    if any((roi.begin - raw.roi.begin) % voxel_size) or any(roi.shape % voxel_size):
        steps = (roi.begin - raw.roi.begin) / voxel_size
        begin = raw.roi.begin + steps * voxel_size
        shape = Coordinate(max(1, n) for n in (roi.end - begin) / voxel_size) * voxel_size
        raise VolumeError(
            f"the roi {format_roi(roi)} does not fall on whole voxels of {tuple(voxel_size)} {config.unit}; "
            f"the nearest that does is offset: {list(begin)}, shape: {list(shape)}"
        )
    return roi
