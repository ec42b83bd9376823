"""Functions that open the arrays of earlier stages."""

from attacca.arrays import LocalArrayIdentifier, ZarrArray
from attacca.errors import MissingInputError
from attacca.jobs.stage import StageInstance
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


def result_array(instance: StageInstance, layout: Layout) -> LocalArrayIdentifier:
    """Return the location of the first array of a stage, at full resolution.

    Args:
        instance: blockwise stage that writes the array.
        layout: paths of results.
    """
    container, _, dataset = instance.arrays(layout)[0].rpartition("/")
    return LocalArrayIdentifier(container, dataset)


def open_result(instance: StageInstance, layout: Layout) -> ZarrArray:
    """Open the first array of a stage, at full resolution.

    Args:
        instance: blockwise stage that writes the array.
        layout: paths of results.

    Raises:
        MissingInputError: the array was deleted, although its manifest exists.
    """
    location = result_array(instance, layout)
    try:
        return ZarrArray.open_from_array_identifier(location)
    except MissingInputError as error:
        raise MissingInputError(
            f"{location.container} was deleted, although its manifest exists; run the workflow again with "
            f"-R {instance.stage.name}_plan to recompute it"
        ) from error
