"""Choice of the reader for a configured path."""

import os
from pathlib import Path

from attacca.arrays.identifier import is_url
from attacca.config.volumes import ArraySource, LabelArraySource
from attacca.errors import AttaccaError, MissingInputError, VolumeError
from attacca.volumes.readers.described_array import DescribedArray
from attacca.volumes.readers.descriptions import find_description
from attacca.volumes.readers.encoded_ids import RgbIds, WholeNumberIds
from attacca.volumes.readers.extended_source import open_extension
from attacca.volumes.readers.foreign_formats import describe_conversion
from attacca.volumes.readers.hdf5 import HDF5_SUFFIXES, Hdf5Source, has_hdf5_signature
from attacca.volumes.readers.image_file import IMAGE_SUFFIXES, JPEG_SUFFIXES, TIFF_SUFFIXES
from attacca.volumes.readers.image_header import explain_damage
from attacca.volumes.readers.image_stack import ImageStack
from attacca.volumes.readers.micrograph import DM_SUFFIXES
from attacca.volumes.readers.micrograph_stack import MicrographStack
from attacca.volumes.readers.mrc import MRC_SUFFIXES, MrcSource
from attacca.volumes.readers.pixel_meaning import Kind
from attacca.volumes.readers.section_names import (
    check_access,
    check_regular_file,
    is_pattern,
    list_sections,
    match_files,
)
from attacca.volumes.readers.source import (
    SelectedChannel,
    SinglePlane,
    Source,
    build_missing_error,
    choose_missing_chunks,
)
from attacca.volumes.readers.tiff import MultipageTiff
from attacca.volumes.readers.wkw_cubes import HEADER_NAME, WkwSource, is_wkw_directory, list_wkw_files
from attacca.volumes.readers.zarr_container import ZarrSource, split_container

_OTHER_SUFFIXES = (*IMAGE_SUFFIXES, *TIFF_SUFFIXES, *MRC_SUFFIXES)


def open_source(source: ArraySource, kind: Kind = "raw") -> Source:
    """Open a configured source with all its channels; only headers are read, and the first section of a color image.

    Args:
        source: the source.
        kind: use of the voxels, which decides the meaning of palettes, colors and floating-point numbers.

    Raises:
        MissingInputError: the path or data set does not exist; the message lists the existing ones.
        VolumeError: the file cannot be read.
    """
    if source.reader is not None:
        return open_extension(source, kind)
    encoding = source.encoding if isinstance(source, LabelArraySource) else None
    with explain_damage(str(source.path), "cannot be read"):
        if encoding is None:
            return _open(source, kind, source.channel)
        if source.channel is not None:
            raise VolumeError(
                f"{source.path}: found 'channel' with 'encoding', which uses all channels",
                fix="remove one of them",
            )
        return RgbIds(_open(source, "encoded labels", None))


def _open(source: ArraySource, kind: Kind, channel: int | None) -> Source:
    if not is_url(source.path):
        check_access(Path(source.path))
    description = find_description(source)
    if description is None:
        return _open_stored(source, kind, channel)
    if description.box is None:
        return description.describe(_open_stored(description.source, kind, channel))
    return description.describe(_open_box(description, kind))


def _open_box(description: DescribedArray, kind: Kind) -> Source:
    """Open the part of an array that a description selects."""
    source = description.source
    _refuse_axes(source)
    if not is_url(source.path) and is_wkw_directory(Path(source.path)):
        return WkwSource(Path(source.path), description.box)
    container = split_container(source.path)
    if container is None:
        raise VolumeError(
            f"{description.files[0]} describes an array in {source.path}, which is not a Zarr or N5 container",
            fix="copy the data set again",
        )
    refuses_missing = choose_missing_chunks(kind, source) == "refuse"
    return ZarrSource(container, refuses_missing, description.axes, description.box)


def _open_stored(source: ArraySource, kind: Kind, channel: int | None) -> Source:
    container = split_container(source.path, source.dataset)
    if container is not None:
        _refuse_axes(source)
        return ZarrSource(container, choose_missing_chunks(kind, source) == "refuse")
    path = Path(source.path)
    if is_wkw_directory(path):
        _refuse_axes(source)
        _refuse_dataset(source)
        return WkwSource(path)
    if is_pattern(path):
        paths = match_files(path)
        if not paths:
            raise MissingInputError(f"{path}: no file matches this pattern", fix="correct 'path'")
        return _read_floats(_open_images(paths, path, kind, channel), kind)
    if not os.path.exists(path):
        if os.path.islink(path):
            check_regular_file(path)
        raise build_missing_error(path)
    conversion = describe_conversion(path)
    if conversion is not None:
        format_name, program = conversion
        raise VolumeError(
            f"{path} is in the format {format_name}, which is not read", fix=f"convert it: {program}"
        )
    if path.is_dir():
        return _read_floats(_open_directory(path, kind, channel), kind)
    check_regular_file(path)
    suffix = path.suffix.lower()
    if suffix in HDF5_SUFFIXES or (suffix not in _OTHER_SUFFIXES and has_hdf5_signature(path)):
        return Hdf5Source(path, source.dataset, source.axes)
    _refuse_dataset(source)
    if suffix in MRC_SUFFIXES:
        return _read_floats(MrcSource(path, source.axes), kind)
    _refuse_axes(source)
    if suffix in TIFF_SUFFIXES:
        return _read_floats(MultipageTiff(path, kind, channel), kind)
    if suffix in DM_SUFFIXES:
        stack = MicrographStack([path], str(path), kind, channel)
        return _read_floats(SinglePlane(stack) if len(stack.metadata.axes or ()) == 2 else stack, kind)
    if suffix in IMAGE_SUFFIXES:
        return SinglePlane(ImageStack([path], str(path), kind, channel))
    if suffix == ".wkw":
        raise VolumeError(
            f"{path} is a single file of webKnossos", fix=f"give the directory that holds {HEADER_NAME}"
        )
    raise VolumeError(
        f"{path} has an unknown format; expected a directory or pattern of {', '.join(IMAGE_SUFFIXES)}, a TIFF, an "
        f"HDF5 file ({', '.join(HDF5_SUFFIXES)}), an MRC file ({', '.join(MRC_SUFFIXES)}), or a .zarr or .n5 container",
        fix="convert the file, or correct 'path'",
    )


def _refuse_dataset(source: ArraySource) -> None:
    if source.dataset is not None:
        raise VolumeError(
            f"{source.path} is not a container, but 'dataset' is {source.dataset!r}", fix="remove 'dataset'"
        )


def _refuse_axes(source: ArraySource) -> None:
    if source.axes is not None:
        raise VolumeError(
            f"found axes: {source.axes} for {source.path}, which is neither HDF5 nor MRC", fix="remove 'axes'"
        )


def select_channel(opened: Source, source: ArraySource) -> Source:
    """Return the configured channel of a source, its only channel, or all channels if none is configured.

    Raises:
        VolumeError: the channel does not exist.
    """
    channels = opened.num_channels
    if source.channel is not None:
        if channels is None:
            if source.channel == 0:
                return opened
            raise VolumeError(
                f"{opened.name} has no channels, but 'channel' is {source.channel}", fix="remove 'channel'"
            )
        if source.channel >= channels:
            raise VolumeError(
                f"{opened.name}: found channel {source.channel}, expected 0 to {channels - 1}",
                fix="correct 'channel'",
            )
        return SelectedChannel(opened, source.channel)
    return SelectedChannel(opened, 0) if channels == 1 else opened


def guess_wrong_key(source: ArraySource) -> str:
    """Return the key that is probably wrong if a source cannot be opened: ``dataset`` or ``path``."""
    exists = not is_url(source.path) and os.path.exists(source.path)
    return "dataset" if source.dataset is not None and exists else "path"


def list_files(source: ArraySource) -> list[Path]:
    """Return the local files of a source in order, or its container; empty for URLs and missing paths."""
    if is_url(source.path):
        return []
    path = Path(source.path)
    if source.reader is not None:
        files = [path] if path.exists() else []
        return sorted(item for item in path.rglob("*") if item.is_file()) if path.is_dir() else files
    if is_pattern(path):
        return match_files(path)
    check_access(path)
    if is_wkw_directory(path):
        return list_wkw_files(path)
    if os.path.isdir(path) and split_container(path) is None:
        return list_sections(path)
    if path.suffix.lower() in HDF5_SUFFIXES and os.path.isfile(path):
        try:
            with explain_damage(str(path), "cannot be read"):
                return Hdf5Source(path, source.dataset, source.axes).list_files()
        except AttaccaError:
            # The check reports it.
            return [path]
    return [path] if os.path.exists(path) else []


def _open_directory(path: Path, kind: Kind, channel: int | None) -> Source:
    paths = list_sections(path)
    suffixes = sorted({item.suffix.lower() for item in paths})
    if not paths:
        raise MissingInputError(
            f"{path} holds no images ({', '.join(IMAGE_SUFFIXES)}) and is not a Zarr or N5 container",
            fix="correct 'path'",
        )
    if len(suffixes) > 1 and set(suffixes) - set(TIFF_SUFFIXES) and set(suffixes) - set(JPEG_SUFFIXES):
        raise VolumeError(
            f"{path} holds images of several formats ({', '.join(suffixes)})",
            fix=f"use a pattern such as {path}/*{suffixes[0]}",
        )
    return _open_images(paths, path, kind, channel)


def _open_images(paths: list[Path], path: Path, kind: Kind, channel: int | None) -> Source:
    reader = MicrographStack if paths[0].suffix.lower() in DM_SUFFIXES else ImageStack
    return reader(paths, str(path), kind, channel)


def _read_floats(source: Source, kind: Kind) -> Source:
    return WholeNumberIds(source) if kind == "labels" and source.dtype.kind == "f" else source
