"""Arrays of earlier stages, opened by what their manifests say."""

from attacca.arrays import LocalArrayIdentifier, ZarrArray
from attacca.errors import MissingInputError
from attacca.layout import Layout
from attacca.manifest import Manifest


def volume_array(layout: Layout, volume: str, manifest: Manifest, name: str) -> LocalArrayIdentifier | None:
    """Where ``raw``, ``labels`` or ``mask`` of a volume stands; None where the volume has none."""
    entry = manifest.result.get("arrays", {}).get(name)
    return None if entry is None else LocalArrayIdentifier(layout.volume_container(volume), entry["dataset"])


def required_volume_array(layout: Layout, volume: str, manifest: Manifest, name: str) -> LocalArrayIdentifier:
    """As ``volume_array``.

    Raises:
        MissingInputError: the volume has no such array.
    """
    found = volume_array(layout, volume, manifest, name)
    if found is None:
        raise MissingInputError(
            f"the volume '{volume}' has no {name}, which this stage needs; give it '{name}' in the configuration"
        )
    return found


def open_result(container: str, rule: str, mode: str = "r") -> ZarrArray:
    """Open the first scale of a result.

    Raises:
        MissingInputError: somebody deleted the array and left its manifest; the message says how to repair it.
    """
    try:
        return ZarrArray.open_from_array_identifier(LocalArrayIdentifier(container, "s0"), mode=mode)
    except MissingInputError as error:
        raise MissingInputError(
            f"{container} is gone, though its manifest is there; run the workflow again with -R {rule}_plan to make it anew"
        ) from error
