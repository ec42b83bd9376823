"""Writes down where a run's results come from: settings, versions, seeds, machines, digests of all results."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attacca.atomic import write_json
from attacca.config.run import Configuration
from attacca.errors import AttaccaError
from attacca.fingerprint import digest, digest_file
from attacca.jobs.command import StageArguments, stage_main
from attacca.layout import Layout
from attacca.provenance.content_digest import digest_content
from attacca.provenance.environment import hardware, package_versions, source_state
from attacca.provenance.linked_arrays import digest_linked_array
from attacca.provenance.machines import machines_of_run
from attacca.workflow.catalogue import StageInstance, instances
from attacca.workflow.workflow import Workflow

VERSION = 1

IN_PLACE = "read in place"
"""Key beside the digest of an array that a volume is read from where it stands."""


def work(arguments: StageArguments) -> None:
    """Write ``provenance.json`` of a run."""
    configuration = run_configuration(arguments.layout, arguments.run, arguments.parameters)
    workflow = Workflow(configuration)
    values = {
        "runs": {arguments.run: arguments.parameters["run"]},
        "volumes": arguments.parameters["volumes"],
    }
    write_json(
        arguments.output,
        {
            "stage": "provenance",
            "version": VERSION,
            "configuration": values,
            "configuration digest": digest(values),
            "seeds": seeds(configuration, arguments.run),
            "versions": package_versions(),
            "source": source_state(),
            "hardware": {**machines_of_run(workflow, arguments.run), "provenance": [hardware()]},
            "inputs": input_fingerprints(workflow),
            "outputs": outputs(workflow, arguments.threads),
        },
    )


def run_configuration(layout: Layout, run: str, parameters: Any) -> Configuration:
    """A configuration of one run and its volumes, from the section of the stage's rule."""
    return Configuration.model_validate(
        {
            "results": str(layout.results),
            "storage": layout.storage,
            "volumes": parameters["volumes"],
            "runs": {run: parameters["run"]},
        }
    )


def seeds(configuration: Configuration, run: str) -> dict[str, int]:
    """Every seed that a run's results depend on."""
    found = {"run": configuration.runs[run].seed}
    for name, volume in configuration.volumes.items():
        if volume.synthetic is not None:
            found[f"volume {name}"] = volume.synthetic.seed
    return found


def input_fingerprints(workflow: Workflow) -> dict[str, Any]:
    """For each volume, what tells its source from another: files with their sizes, or the synthesis."""
    found = {}
    for name in workflow.configuration.volumes:
        try:
            found[name] = digest(json.loads(workflow.section("volume", volume=name)))
        except (AttaccaError, OSError) as error:
            found[name] = f"unknown: {error}"
    return found


def outputs(workflow: Workflow, threads: int = 1) -> dict[str, dict[str, Any]]:
    """Fingerprints and content digests of every stage's results, by stage and volume (or run)."""
    found: dict[str, dict[str, Any]] = {}
    for instance in instances(workflow):
        details = stage_digests(instance, workflow.layout, threads)
        if details:
            found.setdefault(instance.stage.name, {})[instance.volume or instance.run] = details
    return found


def stage_digests(instance: StageInstance, layout: Layout, threads: int = 1) -> dict[str, Any]:
    """The fingerprint of a stage's manifest and the digests of what it made; empty where it is not done."""
    path = instance.manifest(layout)
    try:
        manifest = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    found: dict[str, Any] = {}
    if "fingerprint" in manifest:
        found["fingerprint"] = manifest["fingerprint"]
    result = manifest.get("result") or {}
    found |= {key.replace("_", " "): value for key, value in result.items() if key.endswith("digest")}
    for place in instance.arrays(layout):
        content = digest_content(place, threads)
        if content.files:
            found[_name(place)] = content.to_json()
    if instance.stage.name == "volume":
        found |= _linked_digests(layout.volume_container(instance.volume), result, threads)
    if instance.stage.name in ("tune", "evaluate"):
        found["file digest"] = digest_file(path)
    elif instance.stage.name == "agglomerate":
        table = layout.look_up_table(instance.run, instance.volume)
        if table.exists():
            found["look up table"] = digest_content(table, threads).to_json()
    return found


def _linked_digests(container: str, result: Mapping[str, Any], threads: int) -> dict[str, Any]:
    found = {}
    for name, array in result.get("arrays", {}).items():
        if not array.get("in_place"):
            continue
        try:
            content = digest_linked_array(container, array["dataset"], threads)
        except AttaccaError:
            # Whoever moves the data away when all is computed shall not lose the rest of the provenance.
            continue
        if content is not None and content.files:
            found[name] = {**content.to_json(), IN_PLACE: True}
    return found


def _name(place: str) -> str:
    parts = [part for part in place.split("/") if part]
    name = parts[-2] if parts[-1] == "s0" else parts[-1]
    return Path(name).stem


if __name__ == "__main__":
    sys.exit(stage_main("provenance", work))
