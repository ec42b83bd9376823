"""Files whose times tell Snakemake which stages the configuration has left behind.

Snakemake's own records of parameters stand in ``.snakemake`` under absolute paths: they are gone when that directory
is deleted or a project is copied, and a changed setting would then re-run nothing. Manifests and plans travel with the
results. So the first rule of each stage takes a mark as an input: newer than what the stage wrote where its
parameters or inputs are others by now, or where what it made was deleted and will be missed, and older than anything
otherwise.
"""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from attacca.atomic import write_text
from attacca.errors import AttaccaError
from attacca.fingerprint import canonical_json, digest, list_differences
from attacca.workflow.catalogue import StageInstance, entry, inputs_of
from attacca.workflow.lost_products import lost_products, stages_to_repeat
from attacca.workflow.staleness import changed_inputs, changed_settings, read_values
from attacca.workflow.workflow import Workflow

_HEAD = 1000
"""Characters of the report within which its settings stand."""

_LONG_AGO = 1
"""A time in seconds that no result is older than."""


class RerunMarks:
    """The marks of all stages.

    Args:
        workflow: the configuration.
        directory: where they stand; nothing is lost when it is deleted.
        active: set them. Jobs, which are told what to do, leave them as they are.
    """

    def __init__(self, workflow: Workflow, directory: Path, active: bool) -> None:
        self.workflow = workflow
        # Workflows with other results may run in the same working directory.
        self.directory = directory / digest(str(workflow.layout.results))[:12]
        self.active = active
        self._set: set[Path] = set()
        self._behind: dict[StageInstance, bool] = {}
        self._lost: dict[StageInstance, list[str]] | None = None

    def mark(self, stage: str, run: str = "", volume: str = "") -> str:
        """The mark of a stage for one run and volume, set to its time."""
        instance = StageInstance(entry(stage), run, volume)

        def reasons(output: Path) -> list[str]:
            return self._reasons(instance) + [
                f"{place} was deleted" for place in self._to_repeat().get(instance, ())
            ]

        return self._mark((stage, run, volume), instance.first_file(self.workflow.layout), reasons)

    def provenance_mark(self, run: str) -> str:
        """The mark of a run's ``provenance.json``, set to its time."""

        def reasons(output: Path) -> list[str]:
            section = json.loads(self.workflow.section("provenance", run))
            now = {"runs": {run: section["run"]}, "volumes": section["volumes"]}
            return list(list_differences((read_values(output) or {}).get("configuration"), now, "it"))

        return self._mark(("provenance", run), self.workflow.layout.provenance(run), reasons)

    def report_mark(self) -> str:
        """The mark of the report, set to its time."""

        def reasons(output: Path) -> list[str]:
            known = digest(json.loads(self.workflow.section("report")))
            with output.open(encoding="utf-8") as page:
                return [] if known in page.read(_HEAD) else ["it was written with other settings"]

        return self._mark(("report",), self.workflow.layout.report(), reasons)

    def _mark(self, names: Sequence[str], output: Path, reasons: Callable[[Path], list[str]]) -> str:
        *directories, name = [part for part in names if part]
        path = self.directory.joinpath(*directories, f"{name}.json")
        if self.active and path not in self._set:
            self._set.add(path)
            found = reasons(output) if output.exists() else []
            # Snakemake takes a newer file with the content that it knows for unchanged.
            text = canonical_json({"stale": found}) + "\n"
            # Writing waits for the disk, and most marks stand as they are from one start to the next.
            if not path.is_file() or path.read_text() != text:
                write_text(path, text)
            time = output.stat().st_mtime + 1 if found else _LONG_AGO
            os.utime(path, (time, time))
        return str(path)

    def _to_repeat(self) -> Mapping[StageInstance, list[str]]:
        """Products that were deleted and will be missed, by the stage that makes them."""
        if self._lost is None:
            lost = lost_products(self.workflow)
            repeated = stages_to_repeat(self.workflow, lost, self._is_behind)
            self._lost = {instance: lost[instance] for instance in repeated}
        return self._lost

    def _is_behind(self, instance: StageInstance) -> bool:
        """Whether a stage is unfinished, was computed otherwise, or reads one that is so."""
        if instance not in self._behind:
            self._behind[instance] = (
                not instance.manifest(self.workflow.layout).exists()
                or bool(self._reasons(instance))
                or any(self._is_behind(upstream) for upstream in inputs_of(instance, self.workflow).values())
            )
        return self._behind[instance]

    def _reasons(self, instance: StageInstance) -> list[str]:
        """What has changed since the first file of a stage was written, in words; nothing where there is none."""
        found = read_values(instance.first_file(self.workflow.layout)) or {}
        if "parameters" not in found or "inputs" not in found:
            return []
        try:
            return [
                *changed_settings(instance, self.workflow, found),
                *changed_inputs(instance, self.workflow, found),
            ]
        except (AttaccaError, OSError):
            # The rule asks for the same section, and ends with the message.
            return []
