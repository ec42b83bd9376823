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


def shard_note(layout: Layout, run: str, volume: str, stage: str, shard: tuple[int | str, int | str]) -> Path:
    """Return the file with the machines of a shard of a stage.

    Args:
        layout: paths of the results.
        run: name of the run.
        volume: name of the volume.
        stage: name of the stage.
        shard: index of the shard and number of shards; ``*`` for the pattern of all files.
    """
    return layout.machines(run, volume) / f"{stage}_shard_{shard[0]}_of_{shard[1]}.json"


def read_machines(notes: Mapping[str, tuple[Path, Path]]) -> dict[str, list[dict[str, Any]]]:
    """Return the noted machines of results, without the results that have none.

    Args:
        notes: path of the manifest, and path or pattern of the notes, by the name of the result.
    """
    machines = {
        name: _read_notes(manifest, sorted(pattern.parent.glob(pattern.name)))
        for name, (manifest, pattern) in notes.items()
    }
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
