"""Modification times of finished results, which Snakemake compares.

``cp -r`` and many other ways to copy a project give files new times in any order, and Snakemake would compute stages again
whose results are current. Seals have the digests of the files of a stage and of the manifests that it read: where both
are unchanged, times are made to agree with them before Snakemake looks.
"""

import os
from collections.abc import Container, Iterable
from pathlib import Path

from attacca.fingerprint import digest_file
from attacca.jobs.seals import Seal, read_seal
from attacca.jobs.stage import StageInstance
from attacca.layout import Layout
from attacca.workflow.workflow import Workflow


def align_times(
    workflow: Workflow, instances: Iterable[StageInstance], damaged: Container[StageInstance]
) -> int:
    """Raise the times of files of finished stages that are older than what the stages read.

    Only times of stages change whose files are undamaged, and whose seal has the digests of the present inputs. A stage
    whose settings have changed runs nevertheless, because of its trigger file.

    Args:
        workflow: the configuration.
        instances: all stages, in the order of computation.
        damaged: stages with damaged files.

    Returns:
        The number of stages whose times have changed.
    """
    changed = 0
    for instance in instances:
        inputs = [path for _, path in workflow.read_files(instance.stage, instance.run, instance.volume)]
        if instance in damaged or not all(path.exists() for path in inputs):
            continue
        late = _find_late_files(_list_outputs(instance, workflow.layout), inputs)
        if late and _is_current(read_seal(instance, workflow.layout), inputs):
            for path, time in late:
                os.utime(path, ns=(time, time))
            changed += 1
    return changed


def _list_outputs(instance: StageInstance, layout: Layout) -> list[list[Path]]:
    """Return the files of a stage that Snakemake knows: the plan, the files of shards, the manifest and benchmarks."""
    manifest = instance.manifest(layout)
    if not manifest.exists():
        return []
    plans = [path for path in (instance.plan(layout),) if path.exists()]
    benchmark = layout.benchmark(instance.run, instance.volume, instance.stage.name)
    shards = benchmark.parent.glob(f"{instance.stage.name}_shard_*")
    return [
        plans,
        instance.finished_shards(layout),
        [manifest, *(path for path in (benchmark, *shards) if path.exists())],
    ]


def _find_late_files(outputs: list[list[Path]], inputs: list[Path]) -> list[tuple[Path, int]]:
    """Return the files that are older than files before them, and the times in nanoseconds that they should have."""
    late = []
    earliest = max((path.stat().st_mtime_ns for path in inputs), default=0)
    for paths in outputs:
        times = {path: path.stat().st_mtime_ns for path in paths}
        late += [(path, earliest) for path, time in times.items() if time < earliest]
        earliest = max([earliest, *times.values()])
    return late


def _is_current(seal: Seal | None, inputs: list[Path]) -> bool:
    return seal is not None and list(seal.inputs) == [digest_file(path) for path in inputs]
