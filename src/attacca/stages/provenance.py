"""Stage that records the origin of a run's results: settings, versions, seeds, machines, digests of all results."""

import json
import sys
from typing import Any

from attacca.atomic import write_json
from attacca.config.run import Configuration
from attacca.errors import AttaccaError
from attacca.fingerprint import digest
from attacca.jobs.command import StageArguments, stage_main
from attacca.provenance.environment import read_checkout_state, read_hardware, read_package_versions
from attacca.provenance.machines import read_machines
from attacca.provenance.result_digests import digest_results
from attacca.workflow.catalogue import instances
from attacca.workflow.workflow import Workflow

VERSION = 1


def work(arguments: StageArguments) -> None:
    """Write ``provenance.json`` of a run."""
    layout, run, parameters = arguments.layout, arguments.run, arguments.parameters
    configuration = Configuration.model_validate(
        {
            "results": str(layout.results),
            "storage": layout.storage,
            "volumes": parameters["volumes"],
            "runs": {run: parameters["run"]},
        }
    )
    workflow = Workflow(configuration)
    values = {"runs": {run: parameters["run"]}, "volumes": parameters["volumes"]}
    machines = read_machines(layout, run, configuration.runs[run].volumes.segmented)
    write_json(
        arguments.output,
        {
            "stage": "provenance",
            "version": VERSION,
            "configuration": values,
            "configuration digest": digest(values),
            "seeds": list_seeds(configuration, run),
            "versions": read_package_versions(),
            "source": read_checkout_state(),
            "hardware": {**machines, "provenance": [read_hardware()]},
            "inputs": fingerprint_inputs(workflow),
            "outputs": digest_outputs(workflow, arguments.threads),
        },
    )


def list_seeds(configuration: Configuration, run: str) -> dict[str, int]:
    """Return every seed that a run's results depend on."""
    found = {"run": configuration.runs[run].seed}
    for name, volume in configuration.volumes.items():
        if volume.synthetic is not None:
            found[f"volume {name}"] = volume.synthetic.seed
    return found


def fingerprint_inputs(workflow: Workflow) -> dict[str, str]:
    """Return a digest of the source of each volume: of its files and their sizes, or of its synthesis."""
    found = {}
    for name in workflow.configuration.volumes:
        try:
            found[name] = digest(json.loads(workflow.section("volume", volume=name)))
        except (AttaccaError, OSError) as error:
            found[name] = f"unknown: {error}"
    return found


def digest_outputs(workflow: Workflow, threads: int = 1) -> dict[str, dict[str, Any]]:
    """Return fingerprints and content digests of every stage's results, by stage and volume (or run)."""
    layout = workflow.layout
    found: dict[str, dict[str, Any]] = {}
    for instance in instances(workflow):
        name = instance.stage.name
        files = [layout.look_up_table(instance.run, instance.volume)] if name == "agglomerate" else []
        details = digest_results(
            instance.manifest(layout), instance.arrays(layout), files, name in ("tune", "evaluate"), threads
        )
        if details:
            found.setdefault(name, {})[instance.volume or instance.run] = details
    return found


if __name__ == "__main__":
    sys.exit(stage_main("provenance", work))
