"""Trigger files whose modification times make Snakemake rerun stale stages.

Snakemake's own records of parameters are stored in ``.snakemake`` under absolute paths. They are lost when that
directory is deleted or a project is copied, and a changed setting would then rerun nothing. Manifests and plans travel
with the results. So the first rule of each stage has a trigger file as an input: it is newer than the stage's first
file if the parameters or inputs of the stage have changed, if the manifest of a stage that it reads is missing, or if an
output was deleted that is needed; otherwise it is older than any file.
"""

import os
import time
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

from attacca.arrays.server_errors import is_server_error
from attacca.atomic import write_text
from attacca.errors import AttaccaError
from attacca.fingerprint import canonical_json, digest
from attacca.jobs.stage import Stage, StageInstance
from attacca.manifest import read_values
from attacca.stages.provenance import PROVENANCE
from attacca.stages.report import REPORT
from attacca.workflow.damage import DamageReport, all_instances
from attacca.workflow.damage_repair import discard_damaged_work, discard_unplanned_marks, restore_files
from attacca.workflow.deleted_outputs import find_deleted_outputs, stages_to_repeat
from attacca.workflow.file_times import align_times
from attacca.workflow.staleness import list_changed_inputs, list_changed_settings
from attacca.workflow.summaries import list_changes_of_summary
from attacca.workflow.workflow import Workflow

_EPOCH = 1
"""A modification time in seconds that is older than any result."""


class RerunTriggers:
    """The trigger files of all stages.

    Args:
        workflow: the configuration.
        active: whether to write the files. Jobs leave them unchanged.
        directory: directory of the trigger files; it may be deleted at any time.
    """

    def __init__(
        self, workflow: Workflow, active: bool, directory: Path = Path(".snakemake/triggers")
    ) -> None:
        self.workflow = workflow
        # Workflows with other results may run in the same working directory.
        self.directory = directory / digest(str(workflow.layout.results))[:12]
        self.active = active
        # Files are restored before their content decides what has to run.
        self._damage = restore_files(workflow) if active else DamageReport()
        self._written: set[Path] = set()
        self._outdated: dict[StageInstance, bool] = {}
        if active:
            discard_unplanned_marks(workflow)
            instances = all_instances(workflow)
            align_times(workflow, instances, self._damage.stages)
            # Snakemake lists each directory once, and would miss files that are written later.
            for instance in instances:
                self.trigger(instance.stage, instance.run, instance.volume)

    def trigger(self, stage: Stage, run: str = "", volume: str = "") -> str:
        """Return the path of a stage's trigger file, after setting its modification time."""
        instance = StageInstance(stage, run, volume)
        *directories, name = [part for part in (stage.name, run, volume) if part]
        path = self.directory.joinpath(*directories, f"{name}.json")
        if self.active and path not in self._written:
            self._written.add(path)
            self._write(path, instance)
        return str(path)

    def discard_damaged_work(self) -> None:
        """Remove the records of damaged results before jobs start, so that the jobs compute them again."""
        discard_damaged_work(self.workflow, self._damage)

    def _needs_repair(self, instance: StageInstance) -> bool:
        damage = self._damage.stages.get(instance)
        return damage is not None and damage.needs_work

    def _write(self, path: Path, instance: StageInstance) -> None:
        output = instance.first_file(self.workflow.layout)
        reasons = self._list_reasons(instance, output) if output.exists() else []
        # Snakemake considers a newer file unchanged if its content is the one that it recorded with the last job of the
        # stage or `--touch`: the same reason may occur again, such as an array that is deleted for the second time.
        start = {"start": time.time_ns()} if reasons else {}
        text = canonical_json({"stale": reasons, **start}) + "\n"
        # A write waits for the disk, and most files have the same content at each start.
        if not path.is_file() or path.read_text() != text:
            write_text(path, text)
        modified = output.stat().st_mtime + 1 if reasons else _EPOCH
        os.utime(path, (modified, modified))

    def _list_reasons(self, instance: StageInstance, output: Path) -> list[str]:
        if self._needs_repair(instance):
            return [str(self._damage.stages[instance])]
        # Snakemake does not miss an input of a job whose output exists.
        missing = [f"{path} is missing" for path in self._find_inputs(instance) if not path.exists()]
        if missing:
            return missing
        if instance.stage in (PROVENANCE, REPORT):
            return list_changes_of_summary(instance, self.workflow)
        deleted = self._deleted_and_needed.get(instance, ())
        return self._list_changes(instance) + [f"{path} was deleted" for path in deleted]

    def _find_inputs(self, instance: StageInstance) -> list[Path]:
        """Return the last files of the stages that a stage reads."""
        if instance.stage in (PROVENANCE, REPORT):
            return [path for _, path in self.workflow.read_files(instance.stage, instance.run)]
        read = instance.inputs(self.workflow.configuration).values()
        return [upstream.manifest(self.workflow.layout) for upstream in read]

    @cached_property
    def _deleted_and_needed(self) -> Mapping[StageInstance, list[str]]:
        """Outputs that were deleted and are needed, by the stage that writes them."""
        deleted = find_deleted_outputs(self.workflow)
        repeated = stages_to_repeat(self.workflow, deleted, self._is_outdated)
        return {instance: deleted[instance] for instance in repeated}

    def _is_outdated(self, instance: StageInstance) -> bool:
        """Return whether a stage is unfinished or stale, or reads a stage that is."""
        if instance not in self._outdated:
            self._outdated[instance] = (
                not instance.manifest(self.workflow.layout).exists()
                or bool(self._list_changes(instance))
                or self._needs_repair(instance)
                or any(map(self._is_outdated, instance.inputs(self.workflow.configuration).values()))
            )
        return self._outdated[instance]

    def _list_changes(self, instance: StageInstance) -> list[str]:
        """Return the changes of settings and inputs since the first file of a stage was written."""
        values = read_values(instance.first_file(self.workflow.layout)) or {}
        if "parameters" not in values or "inputs" not in values:
            return []
        try:
            return [
                *list_changed_settings(instance, self.workflow, values),
                *list_changed_inputs(instance, self.workflow, values),
            ]
        except (AttaccaError, OSError) as error:
            # Each further stage would wait for the server, too.
            if is_server_error(error):
                raise
            # The rule computes the same section, and fails with the message.
            return []
