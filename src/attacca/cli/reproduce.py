"""``attacca reproduce``: compute results again in another directory and report the first stage that differs."""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from attacca.cli.arguments import parse_cores
from attacca.cli.console import create_console
from attacca.errors import AttaccaError
from attacca.layout import Layout
from attacca.provenance.compare_digests import ResultKey, compare_digests, print_comparison
from attacca.provenance.reproduction import (
    Reproduction,
    read_provenances,
    reproduced_configuration,
    resolve_directories,
)
from attacca.stages.registry import instances
from attacca.workflow.changed_results import list_changed_results, recorded_run
from attacca.workflow.run_snakemake import run_snakemake


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the ``attacca`` parser."""
    parser = commands.add_parser(
        "reproduce", help="compute results again in another directory and compare digests stage by stage"
    )
    parser.add_argument("results", type=Path, nargs="?", default=Path("results"))
    parser.add_argument(
        "--into",
        type=Path,
        help="new or empty directory, or that of an earlier command that was stopped; by default it is beside the "
        "results, with '-reproduced' added to its name",
    )
    parser.add_argument(
        "--configfile", type=Path, help="use this configuration instead of that in provenance.json"
    )
    parser.add_argument("--run", action="append", help="reproduce only this run; can be given several times")
    parser.add_argument("--cores", type=parse_cores, default="all", help="as for snakemake")
    parser.add_argument("--workflow-profile", help="as for snakemake: profiles/slurm computes on a cluster")
    parser.add_argument(
        "--compare-only", action="store_true", help="compare existing results; compute nothing"
    )


def run(options: argparse.Namespace) -> int:
    """Compute again and compare; return 0 if all digests are equal, 1 if some differ or files are not those digested."""
    results, directory = resolve_directories(options.results, options.into, nested=options.compare_only)
    old = read_provenances(results, options.run)
    console = create_console()
    # The digests were taken when the workflow ended: those of files that changed since are not compared.
    changed = list_changed_results(results, old)
    _print_changes(changed, results, console)
    if options.compare_only:
        console.print(Text(f"nothing is computed: {directory} is compared as it is"))
    else:
        _compute(
            Reproduction(directory, results, reproduced_configuration(old, results, options.configfile)),
            options,
        )
    new = read_provenances(directory, sorted(old))
    both = (results, directory)
    compared = [
        item
        for name in sorted(old)
        for item in compare_digests(list_results(old[name]), both, (old[name], new[name]))
    ]
    changed_again = list_changed_results(directory, new)
    _print_changes(changed_again, directory, console)
    changed += changed_again
    print_comparison(compared, both, console, are_current=not changed)
    return int(bool(changed) or any(item.verdict == "differ" for item in compared))


def _print_changes(changed: Sequence[str], results: Path, console: Console) -> None:
    if changed:
        console.print(
            Text(
                f"{results} has changed since the workflow wrote provenance.json, whose digests are compared. Start the "
                "workflow again to get complete results and their digests:"
            )
        )
    for message in changed:
        console.print(Text(f"  {message}"))


def _compute(reproduction: Reproduction, options: argparse.Namespace) -> None:
    reproduction.begin()
    where = ["--cores", options.cores]
    if options.workflow_profile:
        where = ["--workflow-profile", options.workflow_profile]
    done = run_snakemake(
        reproduction.configuration,
        reproduction.directory,
        ["--rerun-incomplete", *where],
        reproduction.targets,
    )
    if done.returncode:
        raise AttaccaError(
            f"the workflow ended with an error (above). Finished results are kept in {reproduction.directory}: "
            "run the same command again"
        )
    reproduction.finish()


def list_results(provenance: Mapping[str, Any]) -> list[ResultKey]:
    """Return the results of all stages of a run, in the order of computation.

    Args:
        provenance: contents of the run's ``provenance.json``.

    Raises:
        AttaccaError: its configuration belongs to another version of Attacca.
    """
    configuration = recorded_run(provenance)
    return [
        ResultKey(instance.stage.name, instance.run, instance.volume, instance.manifest(Layout(Path())))
        for instance in instances(configuration)
    ]
