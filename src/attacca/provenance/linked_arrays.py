"""Arrays that a volume is read from where they stand: which of their files the volume consists of."""

from attacca.arrays import LocalArrayIdentifier, ZarrArray
from attacca.arrays.links import read_link
from attacca.provenance.content_digest import ContentDigest, digest_content

_METADATA = ("zarr.json", ".zarray", "attributes.json")


def digest_linked_array(container: str, dataset: str, threads: int = 1) -> ContentDigest | None:
    """Digest the part of another array that a data set stands for; None where it stands for none.

    The array may be far larger than the region that the volume takes from it: chunks outside are not looked at.

    Raises:
        MissingInputError: the other array has gone.
    """
    if read_link(container, dataset) is None:
        return None
    array = ZarrArray.open_from_array_identifier(LocalArrayIdentifier(container, dataset))
    return digest_content(array.directory, threads, names={*_METADATA, *array.object_keys()})
