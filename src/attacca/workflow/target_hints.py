"""Explanation of Snakemake's errors about its lock and about targets: files and rules that a command line names."""

import logging
import os
import re
from collections.abc import Iterable
from pathlib import Path

from attacca.jobs.job_locks import describe_running_workflow
from attacca.jobs.stage import Stage
from attacca.workflow.workflow import ALL_STAGES

_UNKNOWN = re.compile(r"No rule to produce (.+?) \(if you use input functions .*\)\.", flags=re.DOTALL)
_LOCKED = "removed with the --unlock argument"
_WILDCARDS = "Target rules may not contain wildcards."
_TARGET_SUFFIXES = (".json", ".html")
_UNTIL = "To end the workflow after a stage, use `--until train`, `--until predict_finish`, ..."


def explain_target(name: str, results: Path, stages: Iterable[Stage] = ALL_STAGES) -> str:
    """Return what to name instead of a target that no rule writes; empty if nothing is known about it.

    Args:
        name: a path, absolute or relative to the working directory, or the name of a rule.
        results: directory of results.
        stages: all stages.

    >>> from pathlib import Path
    >>> explain_target("predict", Path("/project/results"))
    'The last rule of the stage predict is predict_finish: use `--until predict_finish`'
    >>> explain_target("/project/results/first/cube.zarr/prediction", Path("/project/results"))
    'Targets are report.html and the JSON files of stages, with absolute paths; `--summary` lists them'
    """
    if any(stage.name == name and stage.is_blockwise for stage in stages):
        return f"The last rule of the stage {name} is {name}_finish: use `--until {name}_finish`"
    path = Path(os.path.abspath(name))
    if not path.is_relative_to(results):
        return ""
    if not os.path.isabs(name) and path.suffix in _TARGET_SUFFIXES:
        return f"Targets are absolute paths: {path}"
    return "Targets are report.html and the JSON files of stages, with absolute paths; `--summary` lists them"


class TargetHints(logging.Filter):
    """Replaces the advice in Snakemake's messages about targets and its lock by advice about this workflow.

    Args:
        results: directory of results.
    """

    def __init__(self, results: Path) -> None:
        super().__init__()
        self._results = results

    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        unknown = _UNKNOWN.search(message)
        if unknown:
            hint = explain_target(unknown[1].strip("'\""), self._results)
            if hint:
                record.msg, record.args = f"No rule writes {unknown[1]}. {hint}.", ()
        elif _WILDCARDS in message:
            record.msg, record.args = f"{_WILDCARDS} {_UNTIL}", ()
        elif _LOCKED in message:
            # Without another workflow, the lock is that of a process that was killed on another machine.
            running = describe_running_workflow(self._results)
            if running:
                record.msg, record.args = f"{running}.", ()
        return True


def explain_targets(results: Path) -> None:
    """Have this Snakemake process explain targets that no rule writes, and the lock of another process."""
    logging.getLogger("snakemake.logging").addFilter(TargetHints(results))
