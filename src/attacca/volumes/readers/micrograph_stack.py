"""Stacks of files of Gatan DigitalMicrograph, with the voxel size of their calibration."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from attacca.arrays.metadata import GridMetadata
from attacca.volumes.readers.image_file import read_image_headers
from attacca.volumes.readers.image_stack import ImageStack
from attacca.volumes.readers.micrograph import Micrograph, read_micrograph
from attacca.volumes.readers.pixel_meaning import Kind
from attacca.volumes.readers.tiff_pages import KnownFiles, TiffPages

_MOST_PARSED = 256
"""Files whose tags are parsed at first, at some 10 ms per file."""


class MicrographStack(ImageStack):
    """A volume in one file, or one section per file.

    In a directory of many sections, files of equal size count as equal until they are read: each section is compared with
    its tags then.

    Args:
        paths: the files in order.
        name: name for messages.
        kind: use of the image.
        channel: configured channel, if any.

    Raises:
        VolumeError: a file cannot be read, or differs from the first in size or type; the message names it.
    """

    def __init__(
        self, paths: Sequence[Path], name: str, kind: Kind = "raw", channel: int | None = None
    ) -> None:
        parsed: dict[Path, Micrograph] = {}
        sizes: dict[int, TiffPages] = {}

        def read_headers(path: Path, known: KnownFiles) -> TiffPages:
            size = path.stat().st_size
            if len(parsed) < _MOST_PARSED or size not in sizes:
                parsed[path] = read_micrograph(path)
                sizes[size] = read_image_headers(path, known)
            return sizes[size]

        super().__init__(paths, name, kind, channel, read_headers)
        self.stored_axes = "".join(self.axes)
        self.metadata, warnings = _combine(name, parsed)
        self.warnings += tuple(warnings)
        if len(self._grid) > 1 and self.metadata.axes == ["y", "x"]:
            size, unit = self.metadata.voxel_size, self.metadata.unit
            known = f", only {size[0]:g} x {size[1]:g} {unit} along y and x" if size else ""
            self.metadata = replace(self.metadata, axes=self.axes).reject(
                f"the files do not hold the distance of sections{known}"
            )


def _combine(name: str, images: dict[Path, Micrograph]) -> tuple[GridMetadata, list[str]]:
    """Return the voxel size of the files, and warnings; no voxel size if they differ."""
    first, *others = images
    metadata, warnings = images[first].metadata, list(images[first].warnings)
    for path in others:
        size, unit = images[path].metadata.voxel_size, images[path].metadata.unit
        if (size, unit) != (metadata.voxel_size, metadata.unit):
            sizes = f"{size} {unit}" if size else "no voxel size"
            expected = f"{metadata.voxel_size} {metadata.unit}" if metadata.voxel_size else "none"
            warnings.append(
                f"{name}: {path.name} has {sizes} in its calibration, and {first.name} {expected}"
            )
            return metadata.reject("the calibrations of its files differ"), warnings
    return metadata, warnings
