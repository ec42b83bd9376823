"""Arrays that a volume is read from where they stand: which of their files the volume consists of."""

from collections.abc import Iterator
from itertools import product

from attacca.arrays import LocalArrayIdentifier, ZarrArray
from attacca.arrays.links import read_link
from attacca.arrays.storage import is_n5
from attacca.provenance.content_digest import ContentDigest, digest_content

_METADATA = (".zarray", "attributes.json")


def digest_linked_array(container: str, dataset: str, threads: int = 1) -> ContentDigest | None:
    """Digest the part of another array that a data set stands for; None where it stands for none.

    The array may be far larger than the region that the volume takes from it: chunks outside are not looked at.

    Raises:
        MissingInputError: the other array has gone.
    """
    if read_link(container, dataset) is None:
        return None
    array = ZarrArray.open_from_array_identifier(LocalArrayIdentifier(container, dataset))
    return digest_content(array.directory, threads, names={*_METADATA, *_chunks(array)})


def _chunks(array: ZarrArray) -> Iterator[str]:
    """Names of the files of the chunks that hold voxels of the array's ROI."""
    data = array.data
    ranges = []
    for part, size, chunk in zip(array.to_slices(array.roi), data.shape, data.chunks):
        begin, end, _ = part.indices(size)
        ranges.append(range(begin // chunk, -(-end // chunk)))
    if is_n5(data.store):
        # N5 counts axes the other way round.
        ranges.reverse()
        separator = "/"
    else:
        separator = data._dimension_separator
    for index in product(*ranges):
        yield separator.join(map(str, index))
