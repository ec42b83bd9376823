"""Stages that describe the results of all others: provenance of each run, and the report.

They have no manifests. Their files contain the settings with which they were written.
"""

import json

from attacca.config.run import Configuration
from attacca.fingerprint import canonical_json, digest, list_differences
from attacca.jobs.stage import StageInstance, without_paths
from attacca.manifest import read_values
from attacca.stages.provenance import PROVENANCE
from attacca.stages.report import REPORT
from attacca.workflow.workflow import Workflow

_REPORT_HEAD = 1000
"""Number of characters at the start of the report that contain the digest of its settings."""


def summaries(configuration: Configuration) -> list[StageInstance]:
    """Return the stages that describe results, in the order of computation."""
    return [*(StageInstance(PROVENANCE, run) for run in configuration.runs), StageInstance(REPORT)]


def list_changes_of_summary(instance: StageInstance, workflow: Workflow) -> list[str]:
    """Return the reasons why an existing file that describes results has to be written again, as text.

    Args:
        instance: a stage that describes results.
        workflow: the configuration.
    """
    output = instance.manifest(workflow.layout)
    if instance.stage == PROVENANCE:
        section = PROVENANCE.section(workflow.configuration, instance.run)
        settings = {"runs": {instance.run: section["run"]}, "volumes": section["volumes"]}
        plain = without_paths(json.loads(canonical_json(settings)))
        recorded = without_paths((read_values(output) or {}).get("configuration"))
        return list(list_differences(recorded, plain, "it"))
    table = workflow.layout.scores_table()
    if not table.exists():
        return [f"{table} was deleted"]
    settings_digest = digest(without_paths(REPORT.section(workflow.configuration)))
    with output.open(encoding="utf-8", errors="replace") as page:
        is_current = settings_digest in page.read(_REPORT_HEAD)
    return [] if is_current else ["it was written with other settings"]
