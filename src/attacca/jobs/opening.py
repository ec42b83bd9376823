"""Functions that open the arrays of earlier stages."""

from attacca.arrays import LocalArrayIdentifier, ZarrArray
from attacca.errors import MissingInputError
from attacca.jobs.stage import Stage
from attacca.layout import Layout
from attacca.manifest import Manifest


def volume_array(layout: Layout, volume: str, manifest: Manifest, name: str) -> LocalArrayIdentifier | None:
    """Return the location of an array of a volume, or None if the volume does not have it.

    Args:
        layout: paths of results.
        volume: name of the volume.
        manifest: manifest of the volume.
        name: ``raw``, ``labels`` or ``mask``.
    """
    array = manifest.result.get("arrays", {}).get(name)
    return None if array is None else LocalArrayIdentifier(layout.volume_container(volume), array["dataset"])


def required_volume_array(layout: Layout, volume: str, manifest: Manifest, name: str) -> LocalArrayIdentifier:
    """Return the location of an array of a volume, as ``volume_array`` does.

    Raises:
        MissingInputError: the volume does not have the array.
    """
    array = volume_array(layout, volume, manifest, name)
    if array is None:
        raise MissingInputError(
            f"the volume '{volume}' has no {name}, which this stage needs; give it '{name}' in the configuration"
        )
    return array


def open_result(container: str, stage: Stage, mode: str = "r") -> ZarrArray:
    """Open the first scale of a result.

    Args:
        container: directory or address of the image.
        stage: blockwise stage that writes the image, for the message.
        mode: ``r`` or ``a``.

    Raises:
        MissingInputError: the array was deleted, although its manifest exists.
    """
    try:
        return ZarrArray.open_from_array_identifier(LocalArrayIdentifier(container, "s0"), mode=mode)
    except MissingInputError as error:
        raise MissingInputError(
            f"{container} was deleted, although its manifest exists; run the workflow again with "
            f"-R {stage.name}_plan to recompute it"
        ) from error
