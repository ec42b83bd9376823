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
from attacca.manifest import read_values
from attacca.provenance.environment import hardware


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
    known = read_machines(path, key)
    if machine not in known:
        write_json(path, {"key": key, "machines": [*known, dict(machine)]})


def training_note(layout: Layout, run: str) -> Path:
    """Where the machines of a training stand: they travel with its directory."""
    return layout.training(run) / "machines.json"


def prediction_note(layout: Layout, run: str, volume: str, shard: tuple[int, int]) -> Path:
    """Where the machines of a shard of a prediction stand."""
    return layout.machines(run, volume) / f"predict_shard_{shard[0]}_of_{shard[1]}.json"


def prediction_notes(layout: Layout, run: str, volume: str) -> list[Path]:
    """Return the notes of all shards of a prediction."""
    return sorted(layout.machines(run, volume).glob("predict_shard_*.json"))


def read_machines(path: Path, key: str) -> list[dict[str, Any]]:
    """Return the machines of a note; empty if the note belongs to a result with another key."""
    values = read_values(path) or {}
    return list(values.get("machines", [])) if values.get("key") == key else []
