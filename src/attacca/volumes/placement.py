"""Positions of the sources of a volume in world units, and checks that they fit each other."""

from collections.abc import Sequence
from dataclasses import dataclass

from funlib.geometry import Coordinate, Roi

from attacca.config.units import convert_length, to_whole_coordinate
from attacca.config.volumes import ArraySource, VolumeConfig
from attacca.errors import VolumeError
from attacca.volumes.readers.open_source import guess_wrong_key, open_source, select_channel
from attacca.volumes.readers.source import SinglePlane, Source
from attacca.volumes.section_position import (
    check_resolution,
    check_section_numbers,
    describe_other_resolution,
    describe_reversed_axes,
    warn_of_reversed_size,
)
from attacca.volumes.source_problems import Key, SourceProblems


@dataclass(frozen=True)
class PlacedSource:
    """A source with its region in world units.

    Attributes:
        source: the source.
        roi: its region.
        config: its configuration.
        offset_from: origin of its offset: ``configuration``, ``file``, or ``default``.
    """

    source: Source
    roi: Roi
    config: ArraySource
    offset_from: str


@dataclass(frozen=True)
class PlacedVolume:
    """The sources of a volume on their common voxel grid.

    Attributes:
        voxel_size_from: origin of the voxel size: ``configuration``, or ``file`` with its name and attribute.
        warnings: settings that are valid, but probably unintended.
    """

    voxel_size: Coordinate
    voxel_size_from: str
    roi: Roi
    raw: PlacedSource
    labels: tuple[PlacedSource, ...]
    mask: PlacedSource | None
    warnings: tuple[str, ...]


def list_sources(config: VolumeConfig) -> list[tuple[Key, ArraySource]]:
    """Return all sources of a volume with their keys, the image first."""
    configs: list[tuple[Key, ArraySource]] = []
    if config.raw is not None:
        configs.append((("raw",), config.raw))
    if config.labels is not None and config.labels.classes is not None:
        configs += [(("labels", "classes", i), source) for i, source in enumerate(config.labels.classes)]
    elif config.labels is not None:
        configs.append((("labels",), config.labels.sources[0]))
    if config.mask is not None:
        configs.append((("mask",), config.mask))
    return configs


def place_sources(config: VolumeConfig, problems: SourceProblems) -> PlacedVolume | None:
    """Open all sources of a volume and place them on one voxel grid.

    Args:
        config: the volume.
        problems: receives the problems: sources that do not exist or cannot be read; axes, voxel sizes or positions
            that do not fit each other or the configured ROI.

    Returns:
        The placed sources; None if there are problems.
    """
    configs = dict(list_sources(config))
    opened = _open_sources(config, configs, problems)
    if problems.found:
        return None
    warnings = [warning for source in opened.values() for warning in source.warnings]
    dims = opened["raw",].dims
    voxel_size = None
    with problems.at("voxel_size"):
        voxel_size, voxel_size_from, size_warnings = _choose_voxel_size(config, list(opened.values()), dims)
        warnings += size_warnings
    if voxel_size is None:
        return None
    placed: dict[Key, PlacedSource] = {}
    for key, source in opened.items():
        own = configs[key].offset is not None
        with problems.at(*((*key, "offset") if own else ("offset",) if config.offset is not None else key)):
            placed[key] = _place_source(config, source, configs[key], voxel_size, key == ("raw",))
    if problems.found:
        return None
    raw = placed["raw",]
    roi = raw.roi
    with problems.at("roi"):
        roi = _choose_roi(config, raw, voxel_size)
    for key, other in placed.items():
        if key != ("raw",):
            with problems.at(*key, *(["offset"] if other.config.offset is not None else [])):
                warnings += _check_position(config, str(key[0]), other, raw, roi, voxel_size)
    if problems.found:
        return None
    labels = tuple(source for key, source in placed.items() if key[0] == "labels")
    mask = placed.get(("mask",))
    return PlacedVolume(voxel_size, voxel_size_from, roi, raw, labels, mask, tuple(warnings))


def _open_sources(
    config: VolumeConfig, configs: dict[Key, ArraySource], problems: SourceProblems
) -> dict[Key, Source]:
    """Return the sources that can be opened, with the axes of the volume."""
    opened: dict[Key, Source] = {}
    for key, given in configs.items():
        source = None
        with problems.at(*key, guess_wrong_key(given)):
            source = open_source(
                given, "raw" if key[0] == "raw" else "mask" if key[0] == "mask" else "labels"
            )
        if source is not None:
            with problems.at(*key):
                warning = _check_chunks(str(key[0]), source, given)
                if warning:
                    source.warnings = (*source.warnings, warning)
            with problems.at(*key, "channel"):
                opened[key] = select_channel(source, given)
    raw = opened.get(("raw",))
    dims = _choose_dims(config, raw) if raw is not None else None
    for key, source in list(opened.items()):
        with problems.at(*key, guess_wrong_key(configs[key])):
            _check_kind(str(key[0]), source)
            if dims is not None:
                opened[key] = _check_dims(str(key[0]), source, dims)
    return opened


def _check_chunks(key: str, source: Source, given: ArraySource) -> str:
    """Return a warning about chunks that were never written, or raise an error; see ``ArraySource.missing_chunks``."""
    if not source.missing or given.missing_chunks == "zero":
        return ""
    problem = f"{source.name}: {source.missing}, and would be read as 0"
    fix = "restore the file, or set 'missing_chunks: zero' beside 'path' if they hold zeros"
    if key == "raw" or given.missing_chunks == "refuse":
        raise VolumeError(problem, fix=fix)
    return f"{problem}; {fix}"


def _check_kind(key: str, source: Source) -> None:
    if key == "labels" and source.dtype.kind == "f":
        raise VolumeError(
            f"{source.name} holds floating-point numbers ({source.dtype}); labels are whole numbers",
            fix="convert the file to an integer type, or check that it is not a probability map",
        )
    if key == "labels" and source.dtype.kind not in "bui":
        raise VolumeError(
            f"{source.name} holds {source.dtype}; labels are whole-number ids",
            fix="convert the file to an integer type",
        )
    if source.dtype.kind not in "buif":
        raise VolumeError(
            f"{source.name} holds {source.dtype}; expected integers or floating-point numbers",
            fix="convert the file, or choose another data set",
        )


def _check_position(
    config: VolumeConfig, key: str, other: PlacedSource, raw: PlacedSource, roi: Roi, voxel_size: Coordinate
) -> list[str]:
    """Check the position of labels or a mask; return warnings, and raise errors."""
    if any((other.roi.begin - raw.roi.begin) % voxel_size):
        raise VolumeError(
            f"{other.source.name}: the {key} start at {tuple(other.roi.begin)}, which is not a whole "
            f"number of voxels of {tuple(voxel_size)} from the image's {tuple(raw.roi.begin)} in "
            f"{config.unit}",
            fix="correct their offset",
        )
    if (
        key == "labels"
        and other.source.name == raw.source.name
        and other.config.channel == raw.config.channel
    ):
        raise VolumeError(
            f"raw and labels are the same array: {raw.source.name}", fix="correct one of the two paths"
        )
    if other.roi.intersect(roi).empty:
        raise VolumeError(
            f"the {key} do not overlap the image: {other.source.name} covers {format_roi(other.roi)}, "
            f"the image {format_roi(roi)} {config.unit}",
            fix="correct offset, voxel_size or roi",
        )
    if other.offset_from == "default":
        is_confirmed = check_section_numbers(
            key, raw.source, other.source, raw.roi.begin, other.roi.begin, voxel_size
        )
        if key == "labels":
            check_resolution(raw.source, other.source)
    if raw.roi.contains(other.roi):
        if other.offset_from != "default" or other.roi.shape == raw.roi.shape:
            return []
        if is_confirmed and other.roi.shape[1:] == raw.roi.shape[1:]:
            return []
        reduced = describe_other_resolution(raw.source, other.source)
        reduced = f", {reduced}, perhaps another resolution" if reduced else ""
        return [
            f"the {key} are smaller than the image and have no offset, so that they are placed at 0: {other.source.name} "
            f"has {other.source.spatial_shape} voxels, the image {raw.source.name} has {raw.source.spatial_shape}{reduced}. "
            f"If they belong to this image, set their position in {config.unit} beside 'path': offset: "
            f"{list(other.roi.begin)}"
        ]
    origins = {
        "configuration": "is configured",
        "file": "is stored in its file",
        "default": "is not configured, so 0",
    }
    offsets = (
        f"the offset of the image {origins[raw.offset_from]}; that of the {key} {origins[other.offset_from]}"
    )
    text = (
        f"the {key} extend beyond the image: {other.source.name} has {other.source.spatial_shape} voxels and "
        f"covers {format_roi(other.roi)}, the image {raw.source.name} has {raw.source.spatial_shape} and covers "
        f"{format_roi(raw.roi)} {config.unit}"
    )
    if config.roi is not None:
        return [f"{text}; voxels outside the roi {format_roi(roi)} are ignored"]
    whole = f"{{ offset: {list(raw.roi.begin)}, shape: {list(raw.roi.shape)} }}"
    gaps = "".join(f". {warning}" for warning in (*raw.source.warnings, *other.source.warnings))
    raise VolumeError(
        f"{text}; {offsets}{gaps}",
        fix=f"{describe_reversed_axes(raw.source, other.source)}correct the offset, the order of the axes or the path; if "
        f"the {key} are larger on purpose, select the part to use with 'roi', for example the whole image: roi: {whole}",
    )


def format_roi(roi: Roi) -> str:
    """Return a ROI as text.

    >>> format_roi(Roi((0, 0), (1700, 2500)))
    '0 to 1700, 0 to 2500'
    """
    return ", ".join(f"{begin} to {end}" for begin, end in zip(roi.begin, roi.end))


def _choose_dims(config: VolumeConfig, raw: Source) -> int:
    given = config.voxel_size or config.offset or (config.roi.offset if config.roi else None) or config.chunk
    return len(given) if given is not None else raw.dims


def _check_dims(key: str, source: Source, dims: int) -> Source:
    if "c" in source.axes:
        raise VolumeError(
            f"{source.name} has {source.num_channels} channels, a color image perhaps",
            fix="choose one with 'channel: 0' (1, 2, ...), or convert it to gray values",
        )
    if source.dims == 3 and dims == 2 and source.spatial_shape[0] == 1:
        return SinglePlane(source)
    if source.dims != dims:
        numbers = "(y, x)" if dims == 2 else "(z, y, x)"
        raise VolumeError(
            f"{key}: {source.name} has {source.dims} axes with {source.spatial_shape} voxels, but the volume "
            f"has {dims} {numbers}",
            fix="correct the path, or the number of values of voxel_size, offset and roi",
        )
    if 0 in source.spatial_shape:
        raise VolumeError(
            f"{key}: {source.name} is empty: its shape is {source.spatial_shape}",
            fix="correct the path or the data set",
        )
    return source


def _choose_voxel_size(
    config: VolumeConfig, sources: Sequence[Source], dims: int
) -> tuple[Coordinate, str, list[str]]:
    """Return the voxel size, its origin, and warnings about it."""
    stored = {
        source: source.metadata.voxel_size
        for source in sources
        if source.metadata.voxel_size is not None and len(source.metadata.voxel_size) == dims
    }
    if config.voxel_size is not None:
        voxel_size = to_whole_coordinate(config.voxel_size, config.unit, "voxel_size")
        warnings = warn_of_reversed_size(voxel_size, config.unit)
        warnings += [
            f"{source.name}: {source.metadata.problem}; the configured voxel size and offset are used"
            for source in sources
            if source.metadata.problem
        ]
        for source, values in stored.items():
            unit = source.metadata.unit or config.unit
            sizes = convert_length(values, unit, config.unit)
            if any(abs(a - b) > 1e-6 * b for a, b in zip(sizes, voxel_size)):
                warnings.append(
                    f"{source.name} has the voxel size {list(values)} {unit}; the configured {list(voxel_size)} "
                    f"{config.unit} is used"
                )
        return voxel_size, "configuration", warnings
    found = {
        source: to_whole_coordinate(
            values, _unit_of(source, config, "voxel_size"), f"{source.name}: the voxel size", config.unit
        )
        for source, values in stored.items()
    }
    axes = "[z, y, x]" if dims == 3 else "[y, x]"
    if not found:
        reasons = "; ".join(f"{source.name}: {_explain_missing_size(source)}" for source in sources[:1])
        raise VolumeError(reasons, fix=f"set voxel_size: {axes} in {config.unit}")
    if len(set(found.values())) > 1:
        text = "; ".join(f"{source.name}: {tuple(size)}" for source, size in found.items())
        raise VolumeError(
            f"the files of this volume have different voxel sizes in {config.unit}: {text}",
            fix="resample them to one size, or set voxel_size if a file is wrong",
        )
    source, voxel_size = next(iter(found.items()))
    unit = source.metadata.unit or f"without a unit, so {config.unit}"
    origin = f"{source.metadata.origin} of {source.name}" if source.metadata.origin else source.name
    return voxel_size, f"file: {origin}, {unit}", warn_of_reversed_size(voxel_size, config.unit)


def _explain_missing_size(source: Source) -> str:
    return source.metadata.problem or "the file has no voxel size"


def _unit_of(source: Source, config: VolumeConfig, key: str) -> str:
    """Return the unit of the lengths in a file. Without a unit they are nanometers, as in the attribute of funlib.

    Raises:
        VolumeError: the file has no unit, and the volume's unit is another one.
    """
    unit = source.metadata.unit
    if unit is None and config.unit != "nanometer":
        what = "voxel size" if key == "voxel_size" else key
        values = list(getattr(source.metadata, key))
        raise VolumeError(
            f"{source.name}: the {what} {values} has no unit, and the volume's is {config.unit}",
            fix=f"set '{key}' in {config.unit}",
        )
    return unit or "nanometer"


def _place_source(
    config: VolumeConfig, source: Source, given: ArraySource, voxel_size: Coordinate, is_image: bool
) -> PlacedSource:
    shape = Coordinate(source.spatial_shape) * voxel_size
    stored, origin = source.metadata.offset, "configuration"
    if given.offset is not None:
        begin = to_whole_coordinate(given.offset, config.unit, f"{source.name}: offset")
    elif config.offset is not None and (is_image or stored is None):
        begin = to_whole_coordinate(config.offset, config.unit, "offset")
    elif stored is not None and len(stored) == len(voxel_size):
        unit = _unit_of(source, config, "offset") if any(stored) else config.unit
        begin, origin = to_whole_coordinate(stored, unit, f"{source.name}: the offset", config.unit), "file"
    else:
        begin, origin = Coordinate((0,) * len(voxel_size)), "default"
    if begin.dims != voxel_size.dims:
        raise VolumeError(
            f"{source.name}: found the offset {tuple(begin)}, expected {voxel_size.dims} numbers, one per axis",
            fix="correct the number of values of offset",
        )
    return PlacedSource(source, Roi(begin, shape), given, origin)


def _choose_roi(config: VolumeConfig, raw: PlacedSource, voxel_size: Coordinate) -> Roi:
    if config.roi is None:
        return raw.roi
    roi = Roi(
        to_whole_coordinate(config.roi.offset, config.unit, "roi.offset"),
        to_whole_coordinate(config.roi.shape, config.unit, "roi.shape"),
    )
    if not raw.roi.contains(roi):
        raise VolumeError(
            f"the roi {format_roi(roi)} is not contained in the image {raw.source.name}, which covers "
            f"{format_roi(raw.roi)} {config.unit}",
            fix="correct roi, or the offset of the image",
        )
    if any((roi.begin - raw.roi.begin) % voxel_size) or any(roi.shape % voxel_size):
        steps = (roi.begin - raw.roi.begin) / voxel_size
        begin = raw.roi.begin + steps * voxel_size
        shape = Coordinate(max(1, n) for n in (roi.end - begin) / voxel_size) * voxel_size
        raise VolumeError(
            f"the roi {format_roi(roi)} does not fall on whole voxels of {tuple(voxel_size)} {config.unit}; "
            f"the nearest ROI on whole voxels is offset: {list(begin)}, shape: {list(shape)}"
        )
    return roi
