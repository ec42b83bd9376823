"""On which machines results were computed: noted where they are computed, gathered where they are described.

The notes stand in small files beside the results. No manifest knows of them: what a stage makes, and whether it still
counts, does not depend on where it ran.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attacca.atomic import write_json
from attacca.layout import Layout
from attacca.manifest import Manifest
from attacca.provenance.environment import hardware
from attacca.workflow.catalogue import StageInstance, entry, instances
from attacca.workflow.staleness import read_values
from attacca.workflow.workflow import Workflow


def this_machine(device: str) -> dict[str, Any]:
    """Processor, memory and GPUs of this machine, and what of it a network uses.

    Args:
        device: where the network runs, in words.
    """
    found = {**hardware(), "device": device}
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return found if visible is None else {**found, "visible gpus": visible}


def note_machine(path: Path, key: str, machine: Mapping[str, Any]) -> None:
    """Add a machine to those that computed a result.

    Args:
        path: of the note.
        key: digest of all that the result depends on; machines of results under other keys are forgotten.
        machine: what ``this_machine`` says.
    """
    known = _machines(path, key)
    if machine not in known:
        write_json(path, {"key": key, "machines": [*known, dict(machine)]})


def training_note(layout: Layout, run: str) -> Path:
    """Where the machines of a training stand: they travel with its directory."""
    return layout.training(run) / "machines.json"


def prediction_note(layout: Layout, run: str, volume: str, shard: tuple[int, int]) -> Path:
    """Where the machines of a shard of a prediction stand."""
    return _predictions(layout, run, volume) / f"predict_shard_{shard[0]}_of_{shard[1]}.json"


def machines_of_run(workflow: Workflow, run: str) -> dict[str, list[dict[str, Any]]]:
    """The machines of a run's training and of each of its predictions, as far as they were noted."""
    layout = workflow.layout
    found = {"train": _known(StageInstance(entry("train"), run), layout, [training_note(layout, run)])}
    for instance in instances(workflow):
        if instance.stage.name == "predict" and instance.run == run:
            notes = sorted(_predictions(layout, run, instance.volume).glob("predict_shard_*.json"))
            found[f"predict {instance.volume}"] = _known(instance, layout, notes)
    return {name: machines for name, machines in found.items() if machines}


def _predictions(layout: Layout, run: str, volume: str) -> Path:
    return layout.results / "machines" / run / volume


def _known(instance: StageInstance, layout: Layout, notes: list[Path]) -> list[dict[str, Any]]:
    values = read_values(instance.manifest(layout)) or {}
    try:
        key = Manifest(*(values[part] for part in ("stage", "version", "parameters", "inputs"))).fingerprint
    except KeyError:
        return []
    found: list[dict[str, Any]] = []
    for note in notes:
        found += [machine for machine in _machines(note, key) if machine not in found]
    return found


def _machines(path: Path, key: str) -> list[dict[str, Any]]:
    values = read_values(path) or {}
    return list(values.get("machines", [])) if values.get("key") == key else []
