"""From a configured path to the source that reads it."""

from pathlib import Path

from attacca.arrays.identifier import is_url
from attacca.config.volumes import ArraySource
from attacca.errors import MissingInputError, VolumeError
from attacca.volumes.readers.hdf5 import Hdf5Source
from attacca.volumes.readers.image_stack import SUFFIXES, ImageStack, MultipageTiff, natural_order
from attacca.volumes.readers.source import SelectedChannel, Source, missing
from attacca.volumes.readers.zarr_container import ZarrSource, split_container

_HDF5 = (".h5", ".hdf5", ".hdf", ".he5")


def open_source(source: ArraySource) -> Source:
    """Open a configured source for lazy reading; nothing but headers is read.

    Raises:
        MissingInputError: the path or data set is not there; the message names what is.
        VolumeError: it cannot be read, or a channel has to be chosen.
    """
    return choose_channel(open_channels(source), source)


def choose_channel(opened: Source, source: ArraySource) -> Source:
    """The configured channel of a source, or its only one; with several and none configured, all.

    Raises:
        VolumeError: there is no such channel.
    """
    channels = opened.num_channels
    if source.channel is not None:
        if channels is None:
            if source.channel == 0:
                return opened
            raise VolumeError(f"{opened.name} has no channels, but channel {source.channel} is asked for")
        if source.channel >= channels:
            raise VolumeError(f"{opened.name} has {channels} channels; channel {source.channel} is not there")
        return SelectedChannel(opened, source.channel)
    return SelectedChannel(opened, 0) if channels == 1 else opened


def guess_wrong_key(source: ArraySource) -> str:
    """Which of its keys is probably wrong when a source cannot be opened."""
    local = not is_url(source.path) and Path(source.path).exists()
    return "dataset" if source.dataset is not None and local else "path"


def list_files(source: ArraySource) -> list[Path]:
    """The local files or directories that a source consists of, in order; empty for URLs and missing
    paths."""
    if is_url(source.path):
        return []
    path = Path(source.path)
    if _is_pattern(path):
        return sorted(_matching(path), key=natural_order)
    if path.is_dir() and split_container(path) is None:
        return _sections(path)
    return [path] if path.exists() else []


def open_channels(source: ArraySource) -> Source:
    """As ``open_source``, with all channels."""
    container = split_container(source.path, source.dataset)
    if container is not None:
        return ZarrSource(container)
    path = Path(source.path)
    if _is_pattern(path):
        paths = sorted(_matching(path), key=natural_order)
        if not paths:
            raise MissingInputError(f"{path}: no file matches this pattern")
        return ImageStack(paths, str(path))
    if not path.exists():
        raise missing(path)
    if path.is_dir():
        paths = _sections(path)
        suffixes = sorted({item.suffix.lower() for item in paths})
        if not paths:
            raise MissingInputError(
                f"{path} holds no images ({', '.join(SUFFIXES)}) and is no Zarr or N5 container"
            )
        if len(suffixes) > 1 and set(suffixes) - {".tif", ".tiff"}:
            raise VolumeError(
                f"{path} holds images of several formats ({', '.join(suffixes)}); use a pattern such as "
                f"{path}/*{suffixes[0]}"
            )
        return ImageStack(paths, str(path))
    suffix = path.suffix.lower()
    if suffix in _HDF5:
        return Hdf5Source(path, source.dataset)
    if source.dataset is not None:
        raise VolumeError(f"{path} is no container, but the data set {source.dataset!r} in it is asked for")
    if suffix in (".tif", ".tiff"):
        return MultipageTiff(path)
    if suffix in SUFFIXES:
        from attacca.volumes.readers.source import SinglePlane

        return SinglePlane(ImageStack([path], str(path)))
    raise VolumeError(
        f"{path} is of no known kind; expected a directory or pattern of {', '.join(SUFFIXES)}, a TIFF, an "
        f"HDF5 file ({', '.join(_HDF5)}), or a .zarr or .n5 container"
    )


def _is_pattern(path: Path) -> bool:
    return any(mark in str(path) for mark in "*?[") and not path.exists()


def _matching(path: Path) -> list[Path]:
    import glob

    return [Path(found) for found in glob.glob(str(path)) if Path(found).is_file()]


def _sections(path: Path) -> list[Path]:
    found = [
        item for item in path.iterdir() if item.suffix.lower() in SUFFIXES and not item.name.startswith(".")
    ]
    return sorted(found, key=natural_order)
