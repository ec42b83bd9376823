"""Sources whose files an extension reads."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from attacca.arrays.identifier import is_url
from attacca.config.extension import Options
from attacca.config.volumes import ArraySource
from attacca.errors import VolumeError
from attacca.extensions import explain_failure
from attacca.volumes.readers.pixel_meaning import Kind
from attacca.volumes.readers.source import Source, build_missing_error


class ExtendedSource(Source):
    """A source of an extension, whose results are checked.

    Args:
        source: the source that the extension has opened.
        options: options of the extension.
    """

    def __init__(self, source: Source, options: Options) -> None:
        self.name, self.axes, self.metadata = source.name, list(source.axes), source.metadata
        self.shape, self.dtype = tuple(source.shape), np.dtype(source.dtype)
        self.warnings, self.stored_axes, self.missing = source.warnings, source.stored_axes, source.missing
        self._source, self._options = source, options

    def read(self, begin: Sequence[int], end: Sequence[int]) -> np.ndarray:
        extension = self._options.extension
        with explain_failure(f"{self.name} cannot be read"):
            data = np.asarray(self._source.read(begin, end))
        shape = (*self.shape[: len(self.shape) - self.dims], *(e - b for b, e in zip(begin, end)))
        if data.shape != shape or data.dtype != self.dtype:
            raise VolumeError(
                f"{self.name}: the reader '{extension.name}' in {extension.source.name} returned {data.dtype} of the shape "
                f"{data.shape}, expected {self.dtype} of the shape {shape}",
                fix="correct its method read",
            )
        return data


def open_extension(source: ArraySource, kind: Kind) -> Source:
    """Open a source with its reader, which is an extension.

    Args:
        source: the source.
        kind: use of the voxels.

    Raises:
        MissingInputError: the path does not exist.
        VolumeError: a key beside ``reader`` is for Attacca's readers only, or the reader describes no volume.
        ConfigurationError: the code of the extension raised an error.
    """
    options = source.reader
    assert options is not None
    extension = options.extension
    keys = [key for key in ("dataset", "axes", "encoding") if getattr(source, key, None) is not None]
    if keys or is_url(source.path):
        found = f"'{keys[0]}'" if keys else f"the address {source.path}"
        raise VolumeError(
            f"{source.path}: found {found} with 'reader', which reads a local file or directory by itself",
            fix=f"remove {found}, or give the reader an option of its own" if keys else "copy the file",
        )
    path = Path(source.path)
    if not path.exists():
        raise build_missing_error(path)
    opened = options.create(path, kind)
    axes = list(getattr(opened, "axes", []))
    expected = "a Source with name, axes ([c,] [z,] y, x), shape and dtype"
    if not isinstance(opened, Source) or axes not in (list("yx"), list("zyx"), list("cyx"), list("czyx")):
        found = f"axes {axes}" if isinstance(opened, Source) else type(opened).__name__
    elif len(getattr(opened, "shape", ())) != len(axes) or min(opened.shape) < 1:
        found = f"the shape {getattr(opened, 'shape', None)} for the axes {', '.join(axes)}"
    elif not hasattr(opened, "dtype") or not hasattr(opened, "name"):
        found = "a Source without name or dtype"
    else:
        return ExtendedSource(opened, options)
    raise VolumeError(
        f"{path}: the reader '{extension.name}' in {extension.source.name} returned {found}, expected {expected}",
        fix="correct the reader",
    )
