"""Stage that records the provenance of a run: settings, versions, seeds, machines, digests of all results."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attacca.atomic import write_json
from attacca.config.run import Configuration
from attacca.errors import AttaccaError
from attacca.fingerprint import digest, digest_file
from attacca.jobs.command import StageArguments, stage_main
from attacca.jobs.stage import CostModel, Scope, Stage, StageInstance, plain_values, run_parameters
from attacca.layout import Layout
from attacca.manifest import Manifest, read_values
from attacca.provenance.content_digest import digest_content
from attacca.provenance.environment import hardware, package_versions, source_state
from attacca.provenance.linked_arrays import digest_linked_array
from attacca.provenance.machines import prediction_notes, read_machines, training_note
from attacca.stages.predict import PREDICT
from attacca.stages.registry import instances
from attacca.stages.train import TRAIN
from attacca.stages.volume import VOLUME

IN_PLACE = "read in place"
"""Key beside the digest of an array that a volume uses in place."""


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
    layout, run = arguments.layout, arguments.run
    configuration = read_run_configuration(layout, run, arguments.parameters)
    values = {"runs": {run: arguments.parameters["run"]}, "volumes": arguments.parameters["volumes"]}
    machines = collect_machines(configuration, layout, run)
    write_json(
        arguments.output,
        {
            "stage": PROVENANCE.name,
            "version": PROVENANCE.version,
            "configuration": values,
            "configuration digest": digest(values),
            "seeds": collect_seeds(configuration, run),
            "versions": package_versions(),
            "source": source_state(),
            "hardware": {**machines, "provenance": [hardware()]},
            "inputs": fingerprint_inputs(configuration),
            "outputs": digest_outputs(configuration, layout, arguments.threads),
        },
    )


def read_run_configuration(layout: Layout, run: str, parameters: Any) -> Configuration:
    """Return the configuration of one run and its volumes, from the parameters of the stage."""
    return Configuration.model_validate(
        {
            "results": str(layout.results),
            "storage": layout.storage,
            "volumes": parameters["volumes"],
            "runs": {run: parameters["run"]},
        }
    )


def collect_seeds(configuration: Configuration, run: str) -> dict[str, int]:
    """Return every seed that the results of a run depend on."""
    found = {"run": configuration.runs[run].seed}
    for name, volume in configuration.volumes.items():
        if volume.synthetic is not None:
            found[f"volume {name}"] = volume.synthetic.seed
    return found


def collect_machines(
    configuration: Configuration, layout: Layout, run: str
) -> dict[str, list[dict[str, Any]]]:
    """Return the machines that computed the training and each prediction of a run, as far as they were noted."""
    found = {TRAIN.name: _known_machines(StageInstance(TRAIN, run), layout, [training_note(layout, run)])}
    for instance in instances(configuration):
        if instance.stage == PREDICT and instance.run == run:
            notes = prediction_notes(layout, run, instance.volume)
            found[f"{PREDICT.name} {instance.volume}"] = _known_machines(instance, layout, notes)
    return {name: machines for name, machines in found.items() if machines}


def _known_machines(instance: StageInstance, layout: Layout, notes: list[Path]) -> list[dict[str, Any]]:
    values = read_values(instance.manifest(layout)) or {}
    try:
        key = Manifest(*(values[part] for part in ("stage", "version", "parameters", "inputs"))).fingerprint
    except KeyError:
        return []
    found: list[dict[str, Any]] = []
    for note in notes:
        found += [machine for machine in read_machines(note, key) if machine not in found]
    return found


def fingerprint_inputs(configuration: Configuration) -> dict[str, Any]:
    """Return a fingerprint of the source of each volume: its files with their sizes, or its synthesis."""
    found = {}
    for name in configuration.volumes:
        try:
            found[name] = digest(VOLUME.section(configuration, volume=name))
        except (AttaccaError, OSError) as error:
            found[name] = f"unknown: {error}"
    return found


def digest_outputs(configuration: Configuration, layout: Layout, threads: int = 1) -> dict[str, dict[str, Any]]:
    """Return fingerprints and content digests of the results of every stage, by stage and volume (or run)."""
    found: dict[str, dict[str, Any]] = {}
    for instance in instances(configuration):
        details = stage_digests(instance, layout, threads)
        if details:
            found.setdefault(instance.stage.name, {})[instance.volume or instance.run] = details
    return found


def stage_digests(instance: StageInstance, layout: Layout, threads: int = 1) -> dict[str, Any]:
    """Return the fingerprint of a stage's manifest and the digests of its products; empty if it is not finished."""
    path = instance.manifest(layout)
    manifest = read_values(path)
    if manifest is None:
        return {}
    found: dict[str, Any] = {}
    if "fingerprint" in manifest:
        found["fingerprint"] = manifest["fingerprint"]
    result = manifest.get("result") or {}
    found |= {key.replace("_", " "): value for key, value in result.items() if key.endswith("digest")}
    for location in instance.arrays(layout):
        content = digest_content(location, threads)
        if content.files:
            found[_array_name(location)] = content.to_json()
    if instance.stage.manifest_lists_arrays:
        found |= _linked_digests(layout.volume_container(instance.volume), result, threads)
    if instance.stage.manifest_is_result:
        found["file digest"] = digest_file(path)
    for file in map(Path, instance.files(layout)):
        # Files that are given by a pattern have digests in the result.
        if file.exists():
            found[file.stem.replace("_", " ")] = digest_content(file, threads).to_json()
    return found


def _linked_digests(container: str, result: Mapping[str, Any], threads: int) -> dict[str, Any]:
    found = {}
    for name, array in result.get("arrays", {}).items():
        if not array.get("in_place"):
            continue
        try:
            content = digest_linked_array(container, array["dataset"], threads)
        except AttaccaError:
            # Source data may be moved away when everything is computed; the rest of the provenance remains.
            continue
        if content is not None and content.files:
            found[name] = {**content.to_json(), IN_PLACE: True}
    return found


def _array_name(location: str) -> str:
    parts = [part for part in location.split("/") if part]
    name = parts[-2] if parts[-1] == "s0" else parts[-1]
    return Path(name).stem


if __name__ == "__main__":
    sys.exit(stage_main(PROVENANCE, work))
