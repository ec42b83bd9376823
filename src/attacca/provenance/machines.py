"""Machines on which results were computed.

They are noted in small files beside the results. Manifests do not mention them: neither a result nor its validity
depends on the machine.
"""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from attacca.atomic import write_json
from attacca.layout import Layout
from attacca.manifest import Manifest, read_values
from attacca.provenance.environment import read_hardware


def describe_machine(device: str) -> dict[str, Any]:
    """Return processor, memory and GPUs of this machine, and the device that the network uses.

    Args:
        device: name of the device on which the network runs.
    """
    machine = {**read_hardware(), "device": device}
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return machine if visible is None else {**machine, "visible gpus": visible}


def note_machine(path: Path, key: str, machine: Mapping[str, Any]) -> None:
    """Add a machine to those that computed a result.

    Args:
        path: file of the note.
        key: digest of everything that the result depends on. Machines noted under another key are dropped.
        machine: return value of ``describe_machine``.
    """
    known = _read_note(path, key)
    if machine not in known:
        write_json(path, {"key": key, "machines": [*known, dict(machine)]})


def prediction_note(layout: Layout, run: str, volume: str, shard: tuple[int | str, int | str]) -> Path:
    """Return the file with the machines of a shard of a prediction.

    Args:
        layout: paths of the results.
        run: name of the run.
        volume: name of the volume.
        shard: index of the shard and number of shards.
    """
    return layout.machines(run, volume) / f"predict_shard_{shard[0]}_of_{shard[1]}.json"


def read_machines(layout: Layout, run: str, volumes: Iterable[str]) -> dict[str, list[dict[str, Any]]]:
    """Return the noted machines of a run's training and of its predictions.

    Args:
        layout: paths of the results.
        run: name of the run.
        volumes: names of the volumes that are predicted.
    """
    machines = {"train": _read_notes(layout.training_manifest(run), [layout.training_files(run).machines])}
    for volume in volumes:
        pattern = prediction_note(layout, run, volume, ("*", "*"))
        notes = sorted(pattern.parent.glob(pattern.name))
        machines[f"predict {volume}"] = _read_notes(layout.manifest(run, volume, "prediction"), notes)
    return {name: noted for name, noted in machines.items() if noted}


def _read_notes(manifest: Path, notes: Iterable[Path]) -> list[dict[str, Any]]:
    """Return the machines of the result that a manifest describes, each of them once."""
    values = read_values(manifest) or {}
    try:
        key = Manifest(*(values[part] for part in ("stage", "version", "parameters", "inputs"))).fingerprint
    except KeyError:
        return []
    machines: list[dict[str, Any]] = []
    for note in notes:
        machines += [machine for machine in _read_note(note, key) if machine not in machines]
    return machines


def _read_note(path: Path, key: str) -> list[dict[str, Any]]:
    values = read_values(path) or {}
    return list(values.get("machines", [])) if values.get("key") == key else []
