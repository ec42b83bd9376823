"""Arrays, tables and checkpoints that stages have left, and that somebody has deleted since.

Snakemake knows manifests alone, and a manifest outlives the array that it speaks of. What was deleted is made again
where somebody would miss it: a segmentation always, anything else only when a stage that reads it has to run. So a
prediction of many terabytes may be deleted once everything behind it is finished, and so may checkpoints.
"""

import os
from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from attacca.arrays.storage import remote_file_system
from attacca.workflow.catalogue import StageInstance, inputs_of, instances
from attacca.workflow.staleness import read_values
from attacca.workflow.workflow import Workflow

_RESULTS = ("relabel", "classes")
"""Stages whose arrays are what the workflow is run for."""

_CONNECTIONS = 16

_CHECKPOINTS = "*.pt"
"""A training deletes all checkpoints but some: it has lost them when none is left."""


def lost_products(workflow: Workflow) -> dict[StageInstance, list[str]]:
    """Directories, files (or patterns) and addresses that should stand where stages have left them and do not, by stage."""
    products = {stage: _products(stage, workflow) for stage in instances(workflow)}
    gone = _gone({place for places in products.values() for place in places})
    lost = {stage: [place for place in places if place in gone] for stage, places in products.items()}
    return {stage: places for stage, places in lost.items() if places}


def stages_to_repeat(
    workflow: Workflow,
    lost: Collection[StageInstance],
    will_run: Callable[[StageInstance], bool],
) -> set[StageInstance]:
    """Those of the stages that have lost products whose products will be missed.

    Args:
        workflow: the configuration.
        lost: stages that have lost products.
        will_run: whether a stage runs in any case: it is not finished, or not with the present settings and inputs.
    """
    found: set[StageInstance] = set()
    if not lost:
        return found
    read_later: set[StageInstance] = set()
    # Readers come after what they read.
    for stage in reversed(instances(workflow)):
        unfinished = not stage.manifest(workflow.layout).exists()
        if stage in lost and (unfinished or stage.stage.name in _RESULTS or stage in read_later):
            found.add(stage)
        if stage in found or will_run(stage):
            read_later.update(inputs_of(stage, workflow).values())
    return found


def _products(stage: StageInstance, workflow: Workflow) -> list[str]:
    """What a stage says it has made, beside manifest and plan."""
    layout, name = workflow.layout, stage.stage.name
    manifest = stage.manifest(layout)
    if name == "volume":
        arrays: Mapping[str, Any] = ((read_values(manifest) or {}).get("result") or {}).get("arrays", {})
        container = layout.volume_container(stage.volume)
        return [
            f"{container}/{values['dataset']}" for values in arrays.values() if not values.get("in_place")
        ]
    # A graph has no files before its first block is counted.
    first = manifest if name == "graph" else stage.first_file(layout)
    if not first.exists():
        return []
    if name == "train":
        return [str(layout.training(stage.run) / "checkpoints" / _CHECKPOINTS)]
    if name == "agglomerate":
        return [str(layout.look_up_table(stage.run, stage.volume))]
    return stage.arrays(layout)


def _gone(places: Iterable[str]) -> set[str]:
    ordered = sorted(places)
    remote = [place for place in ordered if "://" in place]
    found = {place for place in ordered if "://" not in place and not _stands(Path(place))}
    if remote:
        with ThreadPoolExecutor(_CONNECTIONS) as pool:
            found |= {place for place, there in zip(remote, pool.map(_answers, remote)) if not there}
    return found


def _stands(place: Path) -> bool:
    """Whether there is a file, or a directory that holds more than what is left behind hidden, such as a ledger."""
    if place.name == _CHECKPOINTS:
        return any(place.parent.glob(_CHECKPOINTS))
    try:
        with os.scandir(place) as entries:
            return any(entry.name == ".zarray" or not entry.name.startswith(".") for entry in entries)
    except NotADirectoryError:
        return True
    except OSError:
        return False


def _answers(place: str) -> bool:
    try:
        system, root = remote_file_system(place)
        return any(system.exists(f"{root}/{name}") for name in ("zarr.json", ".zarray"))
    except Exception:
        # Who cannot reach the store cannot say that something is gone; the stage that reads it says more.
        return True
