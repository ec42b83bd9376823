"""Stage that records the origin of a run's results: settings, versions, seeds, machines, digests of all results."""

import sys
from pathlib import Path
from typing import Any

from attacca.atomic import write_json
from attacca.config.run import Configuration
from attacca.errors import AttaccaError
from attacca.fingerprint import digest
from attacca.jobs.stage import (
    CostModel,
    Scope,
    Stage,
    StageInstance,
    plain_values,
    run_parameters,
    without_paths,
)
from attacca.jobs.stage_main import StageArguments, stage_main
from attacca.layout import Layout
from attacca.provenance.environment import read_checkout_state, read_hardware, read_package_versions
from attacca.provenance.machines import read_machines, shard_note
from attacca.provenance.result_digests import digest_results
from attacca.stages.predict import PREDICT
from attacca.stages.registry import instances
from attacca.stages.train import TRAIN
from attacca.stages.volume import VOLUME


def _parameters(configuration: Configuration, run: str, volume: str) -> dict[str, Any]:
    config = configuration.runs[run]
    names = [*config.volumes.train, *config.volumes.segmented]
    return {
        "run": run_parameters(config),
        "volumes": {name: plain_values(configuration.volumes[name]) for name in names},
    }


PROVENANCE = Stage(
    name="provenance",
    title="digests of all results",
    scope=Scope.RUN,
    manifest=lambda layout, run, volume: layout.provenance(run),
    parameters=_parameters,
    cost=CostModel(200, 0, 1e6, 1),
    # More threads do not read faster from a network file system.
    max_threads=4,
)


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
    values = {"runs": {run: parameters["run"]}, "volumes": parameters["volumes"]}
    machines = read_machines(locate_machine_notes(configuration, layout, run))
    write_json(
        arguments.output,
        {
            "stage": PROVENANCE.name,
            "version": PROVENANCE.version,
            "configuration": values,
            "configuration digest": digest(values),
            "seeds": list_seeds(configuration, run),
            "versions": read_package_versions(),
            "source": read_checkout_state(),
            "hardware": {**machines, "provenance": [read_hardware()]},
            "inputs": fingerprint_inputs(configuration),
            "outputs": digest_outputs(configuration, layout, arguments.threads),
        },
    )


def locate_machine_notes(
    configuration: Configuration, layout: Layout, run: str
) -> dict[str, tuple[Path, Path]]:
    """Return the manifest and the notes of machines of a run's training and predictions, by stage and volume."""
    notes = {TRAIN.name: (layout.training_manifest(run), layout.training_files(run).machines)}
    for volume in configuration.runs[run].volumes.segmented:
        pattern = shard_note(layout, run, volume, PREDICT.name, ("*", "*"))
        notes[f"{PREDICT.name} {volume}"] = (StageInstance(PREDICT, run, volume).manifest(layout), pattern)
    return notes


def list_seeds(configuration: Configuration, run: str) -> dict[str, int]:
    """Return every seed that a run's results depend on."""
    found = {"run": configuration.runs[run].seed}
    for name, volume in configuration.volumes.items():
        if volume.synthetic is not None:
            found[f"volume {name}"] = volume.synthetic.seed
    return found


def fingerprint_inputs(configuration: Configuration) -> dict[str, str]:
    """Return a digest of the source of each volume: of its files, or of its synthesis."""
    found = {}
    for name in configuration.volumes:
        try:
            found[name] = digest(without_paths(VOLUME.section(configuration, volume=name)))
        except (AttaccaError, OSError) as error:
            found[name] = f"unknown: {error}"
    return found


def digest_outputs(
    configuration: Configuration, layout: Layout, threads: int = 1
) -> dict[str, dict[str, Any]]:
    """Return fingerprints and content digests of every stage's results, by stage and volume (or run)."""
    found: dict[str, dict[str, Any]] = {}
    for instance in instances(configuration):
        stage = instance.stage
        # Files that are named by a pattern have digests in the manifest.
        files = [path for path in map(Path, instance.files(layout)) if path.exists()]
        details = digest_results(
            instance.manifest(layout), instance.arrays(layout), files, stage.manifest_is_result, threads
        )
        if details:
            found.setdefault(stage.name, {})[instance.volume or instance.run] = details
    return found


if __name__ == "__main__":
    sys.exit(stage_main(PROVENANCE, work))
