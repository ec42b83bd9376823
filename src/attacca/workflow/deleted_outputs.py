"""Detection of deleted arrays, tables and checkpoints, and of the stages that must recompute them.

The outputs of rules are manifests, and a manifest remains when its array is deleted. A deleted output is recomputed where
it is needed: a segmentation always, anything else only when a stage that reads it has to run. So a prediction of many
terabytes may be deleted once everything downstream is finished, and so may checkpoints.
"""

import glob
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from attacca.arrays.identifier import is_url
from attacca.arrays.storage import output_exists
from attacca.jobs.stage import StageInstance
from attacca.manifest import read_values
from attacca.workflow.workflow import Workflow

_CONNECTIONS = 16


def find_deleted_outputs(workflow: Workflow) -> dict[StageInstance, list[str]]:
    """Return the directories, files (or patterns) and addresses that a stage wrote and that are missing, by stage."""
    outputs = {instance: _expected_outputs(instance, workflow) for instance in workflow.instances()}
    missing = _find_missing({path for paths in outputs.values() for path in paths})
    deleted = {instance: [path for path in paths if path in missing] for instance, paths in outputs.items()}
    return {instance: paths for instance, paths in deleted.items() if paths}


def stages_to_repeat(
    workflow: Workflow,
    deleted: Collection[StageInstance],
    will_run: Callable[[StageInstance], bool],
) -> set[StageInstance]:
    """Return those stages with deleted outputs whose outputs are needed.

    Args:
        workflow: the configuration.
        deleted: stages with deleted outputs.
        will_run: function that returns whether a stage runs in any case, because it is unfinished or stale.
    """
    repeated: set[StageInstance] = set()
    if not deleted:
        return repeated
    needed: set[StageInstance] = set()
    # Stages come after their inputs, so each stage is visited after all stages that read it.
    for instance in reversed(workflow.instances()):
        is_unfinished = not instance.manifest(workflow.layout).exists()
        if instance in deleted and (is_unfinished or instance.stage.is_final or instance in needed):
            repeated.add(instance)
        if instance in repeated or will_run(instance):
            needed.update(instance.inputs(workflow.configuration).values())
    return repeated


def _expected_outputs(instance: StageInstance, workflow: Workflow) -> list[str]:
    """Return the outputs that a stage has written, according to its plan and manifest."""
    layout, stage = workflow.layout, instance.stage
    manifest = instance.manifest(layout)
    first = instance.first_file(layout) if stage.plan_creates_arrays else manifest
    if not first.exists():
        return []
    if stage.manifest_lists_files:
        files = ((read_values(manifest) or {}).get("result") or {}).get("files", ())
        return [str(manifest.parent / file) for file in files if isinstance(file, str)]
    if not stage.manifest_lists_arrays:
        return [*instance.arrays(layout), *instance.files(layout)]
    arrays = ((read_values(manifest) or {}).get("result") or {}).get("arrays", {})
    container = layout.volume_container(instance.volume)
    # A damaged manifest is restored before a job reads it.
    listed = [array for array in dict(arrays).values() if isinstance(array, dict) and "dataset" in array]
    return [f"{container}/{array['dataset']}" for array in listed if not array.get("in_place")]


def _find_missing(paths: Iterable[str]) -> set[str]:
    ordered = sorted(paths)
    remote = [path for path in ordered if is_url(path)]
    missing = {path for path in ordered if not is_url(path) and not _exists(Path(path))}
    if remote:
        with ThreadPoolExecutor(_CONNECTIONS) as pool:
            missing |= {path for path, exists in zip(remote, pool.map(output_exists, remote)) if not exists}
    return missing


def _exists(path: Path) -> bool:
    """Return whether there is such an output, or one that matches a pattern."""
    return any(path.parent.glob(path.name)) if glob.has_magic(path.name) else output_exists(str(path))
