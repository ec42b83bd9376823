"""Results that have changed since ``provenance.json`` recorded their digests."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from attacca.config.run import Configuration
from attacca.errors import AttaccaError
from attacca.layout import Layout
from attacca.manifest import read_values
from attacca.stages.registry import instances
from attacca.stages.report import REPORT
from attacca.workflow.damage import find_damage
from attacca.workflow.start_record import read_recorded_configuration
from attacca.workflow.workflow import Workflow


def recorded_run(provenance: Mapping[str, Any]) -> Configuration:
    """Return the configuration that a ``provenance.json`` contains.

    Raises:
        AttaccaError: it belongs to another version of Attacca.
    """
    try:
        return Configuration.model_validate(provenance["configuration"])
    except ValidationError as error:
        first = error.errors()[0]
        raise AttaccaError(
            "this version of Attacca cannot read the configuration in provenance.json: "
            f"{first['msg']} ({'.'.join(map(str, first['loc']))}). Check out the commit that "
            "it names under 'source', and run the command again"
        ) from None


def list_changed_results(results: Path, provenances: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return a message about each stage whose files are not those that ``provenance.json`` describes.

    Arrays are read like at the start of a workflow, up to ``damage.READ_BYTES``.

    Args:
        results: directory of results.
        provenances: contents of the ``provenance.json`` of each run in it.
    """
    storage = _read_storage(results)
    # Runs share the volumes.
    return list(
        dict.fromkeys(
            message
            for provenance in provenances.values()
            for message in _list_changed_stages(
                recorded_run(provenance).model_copy(update={"results": results, "storage": storage}),
                provenance,
            )
        )
    )


def _list_changed_stages(configuration: Configuration, provenance: Mapping[str, Any]) -> Iterator[str]:
    layout = Layout(configuration.results)
    replaced = set()
    for instance in instances(configuration):
        name = instance.volume or instance.run
        recorded = provenance["outputs"].get(instance.stage.name, {}).get(name, {}).get("fingerprint")
        present = (read_values(instance.manifest(layout)) or {}).get("fingerprint")
        if None not in (recorded, present) and recorded != present:
            replaced.add(instance)
            yield f"{instance.title}: it was computed again, with other settings or inputs"
    for instance, damage in find_damage(Workflow(configuration)).stages.items():
        if instance.stage != REPORT and instance not in replaced:
            yield f"{instance.title}: {damage}"


def _read_storage(results: Path) -> str | None:
    """Return the location of the arrays, or None if the configuration of the last start cannot be read."""
    try:
        return read_recorded_configuration(results).storage
    except (AttaccaError, OSError):
        return None
