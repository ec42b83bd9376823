"""Stage that writes the page of all runs."""

import sys
from typing import Any

from attacca.config.run import Configuration
from attacca.fingerprint import digest
from attacca.jobs.stage import CostModel, Scope, Stage, plain_values, run_parameters, without_paths
from attacca.jobs.stage_main import StageArguments, stage_main


def _parameters(configuration: Configuration, run: str, volume: str) -> dict[str, Any]:
    return {
        "runs": {name: run_parameters(config) for name, config in configuration.runs.items()},
        "volumes": {name: plain_values(config) for name, config in configuration.volumes.items()},
    }


REPORT = Stage(
    name="report",
    title="page of all runs",
    scope=Scope.WORKFLOW,
    manifest=lambda layout, run, volume: layout.report(),
    parameters=_parameters,
    contents=lambda layout, run, volume: [str(layout.scores_table())],
    cost=CostModel(500, 0, 1e6, 2),
    max_threads=1,
)


def work(arguments: StageArguments) -> None:
    """Write ``report.html`` and ``scores.tsv``."""
    # deferred: the Snakefile does not need matplotlib.
    from attacca.report import write_report

    write_report(
        arguments.layout.results,
        arguments.output,
        arguments.parameters["runs"],
        arguments.parameters["volumes"],
        storage=arguments.layout.storage,
        settings=digest(without_paths(arguments.parameters)),
    )


if __name__ == "__main__":
    sys.exit(stage_main(REPORT, work))
