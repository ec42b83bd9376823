"""Files of other programs that describe arrays in containers."""

from pathlib import Path

from attacca.arrays.identifier import is_url
from attacca.config.volumes import ArraySource
from attacca.volumes.readers.bigdataviewer import describe_view, is_bigdataviewer
from attacca.volumes.readers.described_array import DescribedArray
from attacca.volumes.readers.image_header import explain_damage
from attacca.volumes.readers.webknossos import describe_layer


def find_description(source: ArraySource) -> DescribedArray | None:
    """Return the array that the file of a source describes; None if its path is that of an array itself.

    Raises:
        MissingInputError: the file describes several arrays, or none of the configured name.
        VolumeError: the file is damaged, or describes something else than a volume.

    >>> find_description(ArraySource(path="volume.zarr")) is None
    True
    """
    if is_url(source.path) or source.reader is not None:
        return None
    path = Path(source.path)
    with explain_damage(str(path), "cannot be read"):
        return describe_view(source) if is_bigdataviewer(path) else describe_layer(source)
