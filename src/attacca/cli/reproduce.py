"""``attacca reproduce``: compute results again elsewhere, and name the first stage that differs."""

import argparse
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from attacca.cli.arguments import cores
from attacca.config.load import load_configuration
from attacca.errors import AttaccaError, ConfigurationError, MissingInputError
from attacca.provenance.comparison import compare, show
from attacca.provenance.reproduction import Reproduction, reproduction_place
from attacca.workflow.staleness import read_values

_SNAKEFILE = Path(__file__).resolve().parents[3] / "Snakefile"


def add_parser(commands: Any) -> None:
    """Add the command to the ``attacca`` parser."""
    parser = commands.add_parser(
        "reproduce", help="compute results again in another directory and compare digests stage by stage"
    )
    parser.add_argument("results", type=Path, nargs="?", default=Path("results"))
    parser.add_argument(
        "--into",
        type=Path,
        help="where to compute: a new or empty directory, or that of the same command when it was stopped; by default "
        "beside the results, with '-reproduced' added",
    )
    parser.add_argument(
        "--configfile", type=Path, help="compute with this configuration, not with the one in provenance.json"
    )
    parser.add_argument("--run", action="append", help="reproduce this run alone; may be given several times")
    parser.add_argument("--cores", type=cores, default="all", help="as for snakemake")
    parser.add_argument("--workflow-profile", help="as for snakemake: profiles/slurm computes on a cluster")
    parser.add_argument(
        "--compare-only", action="store_true", help="compare what is there, without computing"
    )


def run(options: argparse.Namespace) -> int:
    """Compute again and compare; 0 where all digests are equal, 1 where some differ."""
    results, target = reproduction_place(options.results, options.into, nested=options.compare_only)
    known = read_provenances(results, options.run)
    console = Console(highlight=False)
    if options.compare_only:
        console.print(Text(f"nothing is computed: {target} is compared as it stands"))
    else:
        reproduction = Reproduction(target, results, configuration_values(known, results, options.configfile))
        reproduction.begin()
        _compute(reproduction, sorted(known), options)
        reproduction.finish()
    again = read_provenances(target, sorted(known))
    comparisons = [
        comparison
        for name in sorted(known)
        for comparison in compare(results, target, known[name], again[name])
    ]
    show(comparisons, results, target, console)
    return 0 if all(comparison.equal for comparison in comparisons) else 1


def read_provenances(results: Path, runs: list[str] | None) -> dict[str, dict[str, Any]]:
    """The ``provenance.json`` of each run of a directory of results, by the run's name.

    Raises:
        MissingInputError: it is no directory of results, there is no such file, or one of ``runs`` has none.
        AttaccaError: a file is not what the workflow writes.
    """
    paths = {path.parent.name: path for path in sorted(results.glob("*/provenance.json"))}
    if not paths:
        _check_directory(results)
    missing = [name for name in runs or [] if name not in paths]
    if missing or not paths:
        what = (
            ", ".join(str(results / name / "provenance.json") for name in missing)
            or f"{results}/*/provenance.json"
        )
        there = f". Runs that have one: {', '.join(paths)}" if paths else ""
        raise MissingInputError(
            f"there is no {what}: the workflow writes it last; let it finish first{there}"
        )
    return {name: _read_provenance(path) for name, path in paths.items() if runs is None or name in runs}


def _check_directory(results: Path) -> None:
    if results.is_dir() and (results / "workflow.json").exists():
        return
    found = (
        "has no workflow.json" if results.is_dir() else "is a file" if results.exists() else "is not there"
    )
    raise MissingInputError(
        f"{results} {found}, so it is no directory of results; give the one that 'results' of the configuration names"
    )


def _read_provenance(path: Path) -> dict[str, Any]:
    values = read_values(path)
    if values is not None:
        configuration, outputs = (_mapping(values.get(key)) for key in ("configuration", "outputs"))
        stages = [_mapping(stage) for stage in outputs.values()]
        if (
            path.parent.name in _mapping(configuration.get("runs"))
            and _mapping(configuration.get("volumes"))
            and stages
            and all(isinstance(details, dict) for stage in stages for details in stage.values())
        ):
            return values
    found = (
        "no JSON object, or a part of one" if values is None else f"the keys {', '.join(values) or '(none)'}"
    )
    raise AttaccaError(
        f"{path} holds {found}; it should hold the configuration of the run {path.parent.name} and the digests of its "
        "results. Delete it and start the workflow again, which writes it anew from the results"
    )


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def configuration_values(
    provenances: Mapping[str, Mapping[str, Any]], results: Path, changed: Path | None
) -> dict[str, Any]:
    """The configuration that gave the results, or that of another file, for a second computation.

    Raises:
        ConfigurationError: the other file lacks a run, or has problems.
    """
    if changed is not None:
        configuration = load_configuration(changed)
        values: dict[str, Any] = configuration.model_dump(mode="json", by_alias=True)
        values.pop("storage")
    else:
        values = {"volumes": {}, "runs": {}}
        for provenance in provenances.values():
            for section in ("volumes", "runs"):
                values[section] |= provenance["configuration"][section]
        values["execution"] = (read_values(results / "workflow.json") or {}).get("execution", {})
    values["runs"] = {name: section for name, section in values["runs"].items() if name in provenances}
    missing = [name for name in provenances if name not in values["runs"]]
    if missing:
        raise ConfigurationError(f"{changed} has no run {', '.join(missing)}, which {results} holds")
    return values


def _compute(reproduction: Reproduction, runs: list[str], options: argparse.Namespace) -> None:
    target = reproduction.place
    if not _SNAKEFILE.exists():
        raise MissingInputError(f"there is no {_SNAKEFILE}: reproduce works from a checkout of Attacca")
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(_SNAKEFILE)]
    command += ["--configfile", str(reproduction.configuration), "--rerun-incomplete"]
    if options.workflow_profile:
        command += ["--workflow-profile", options.workflow_profile]
    else:
        command += ["--cores", str(options.cores)]
    command += ["--directory", str(target), "--", *(str(target / name / "provenance.json") for name in runs)]
    done = subprocess.run(command, env={**os.environ})
    if done.returncode:
        raise AttaccaError(
            f"the workflow ended with an error (above); what is finished stays in {target}: "
            "run the same command again"
        )
