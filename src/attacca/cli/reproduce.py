"""``attacca reproduce``: compute results again elsewhere, and name the first stage that differs."""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console
from rich.table import Table

from attacca.cli.arguments import cores
from attacca.config.load import load_configuration
from attacca.errors import AttaccaError, ConfigurationError, MissingInputError
from attacca.fingerprint import canonical_json, key_differences
from attacca.stages.catalogue import StageInstance, instances
from attacca.stages.workflow import Workflow

_SNAKEFILE = Path(__file__).resolve().parents[3] / "Snakefile"


def add_parser(commands: Any) -> None:
    """Add the command to the ``attacca`` parser."""
    parser = commands.add_parser(
        "reproduce", help="compute results again in another directory and compare digests stage by stage"
    )
    parser.add_argument("results", type=Path, nargs="?", default=Path("results"))
    parser.add_argument(
        "--into", type=Path, help="where to compute; by default beside it, with '-reproduced' added"
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
    results = options.results.absolute()
    target = (options.into or results.with_name(results.name + "-reproduced")).absolute()
    if target == results:
        raise ConfigurationError(
            f"--into names {results} itself; results are reproduced in another directory"
        )
    known = read_provenances(results, options.run)
    if not options.compare_only:
        target.mkdir(parents=True, exist_ok=True)
        configuration = target / "configuration.yaml"
        write_configuration(configuration, known, results, options.configfile)
        _compute(configuration, target, sorted(known), options)
    again = read_provenances(target, sorted(known))
    comparisons = [
        comparison
        for name in sorted(known)
        for comparison in compare(results, target, known[name], again[name])
    ]
    show(comparisons, results, target, Console(highlight=False))
    return 0 if all(comparison.equal for comparison in comparisons) else 1


@dataclass(frozen=True)
class Comparison:
    """One stage in both directories.

    Args:
        instance: which.
        equal: whether all of its digests are equal.
        differences: what differs: digests of results, then what the manifests say about the reason.
    """

    instance: StageInstance
    equal: bool
    differences: list[str]


def read_provenances(results: Path, runs: list[str] | None) -> dict[str, dict[str, Any]]:
    """The ``provenance.json`` of each run of a directory of results, by the run's name.

    Raises:
        MissingInputError: there is none, or one of ``runs`` has none.
    """
    found = {}
    for path in sorted(results.glob("*/provenance.json")):
        if runs is None or path.parent.name in runs:
            found[path.parent.name] = json.loads(path.read_text())
    missing = [name for name in runs or [] if name not in found]
    if missing or not found:
        what = (
            ", ".join(str(results / name / "provenance.json") for name in missing)
            or f"{results}/*/provenance.json"
        )
        raise MissingInputError(f"there is no {what}: the workflow writes it last; let it finish first")
    return found


def write_configuration(
    path: Path, provenances: Mapping[str, Mapping[str, Any]], results: Path, changed: Path | None
) -> None:
    """Write the configuration that gave the results, or that of another file, for a second computation."""
    if changed is not None:
        configuration = load_configuration(changed)
        values: dict[str, Any] = configuration.model_dump(mode="json", by_alias=True)
        values.pop("storage")
    else:
        values = {"volumes": {}, "runs": {}}
        for provenance in provenances.values():
            for section in ("volumes", "runs"):
                values[section] |= provenance["configuration"][section]
        record = results / "workflow.json"
        if record.exists():
            values["execution"] = json.loads(record.read_text()).get("execution", {})
    values["results"] = str(path.parent)
    values["runs"] = {name: section for name, section in values["runs"].items() if name in provenances}
    missing = [name for name in provenances if name not in values["runs"]]
    if missing:
        raise ConfigurationError(f"{changed} has no run {', '.join(missing)}, which {results} holds")
    path.write_text(yaml.safe_dump(json.loads(canonical_json(values)), sort_keys=False))


def _compute(configuration: Path, target: Path, runs: list[str], options: argparse.Namespace) -> None:
    if not _SNAKEFILE.exists():
        raise MissingInputError(f"there is no {_SNAKEFILE}: reproduce works from a checkout of Attacca")
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(_SNAKEFILE)]
    command += ["--configfile", str(configuration), "--rerun-incomplete"]
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


def compare(
    first: Path, second: Path, known: Mapping[str, Any], again: Mapping[str, Any]
) -> list[Comparison]:
    """Compare the digests of all stages of one run, in the order of computation."""
    compared = []
    name = next(iter(known["configuration"]["runs"]))
    for instance in _instances(first, known):
        key = (instance.stage.name, instance.volume or instance.run)
        here = known["outputs"].get(key[0], {}).get(key[1])
        there = again["outputs"].get(key[0], {}).get(key[1])
        if here is None and there is None:
            continue
        differences = []
        if here is None or there is None:
            differences.append(
                f"it is {'missing' if there is None else 'new'} in the second directory of run {name}"
            )
        else:
            differences = [
                text
                for text in key_differences(_without(here), _without(there))
                if not text.startswith("fingerprint")
            ]
        # Results count: a manifest that differs (a moved source, say) with equal results does not.
        equal = not differences
        if not equal and here is not None and there is not None:
            differences += _reasons(instance, first, second)
        compared.append(Comparison(instance, equal, differences))
    return compared


def _instances(results: Path, provenance: Mapping[str, Any]) -> list[StageInstance]:
    from attacca.config.run import Configuration

    values = {**provenance["configuration"], "results": str(results)}
    return instances(Workflow(Configuration.model_validate(values)))


def _without(details: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in details.items() if key != "fingerprint"}


def _reasons(instance: StageInstance, first: Path, second: Path) -> list[str]:
    from attacca.stages.layout import Layout

    try:
        old, new = (json.loads(instance.manifest(Layout(place)).read_text()) for place in (first, second))
    except (OSError, ValueError):
        return []
    parts = ("version", "parameters")
    return list(key_differences({key: old.get(key) for key in parts}, {key: new.get(key) for key in parts}))


def show(comparisons: list[Comparison], first: Path, second: Path, console: Console) -> None:
    """Print a line for each stage, and the first that differs."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("stage", "of", "digests"):
        table.add_column(name)
    for comparison in comparisons:
        word = "[green]equal[/]" if comparison.equal else "[red]differ[/]"
        table.add_row(comparison.instance.stage.name, comparison.instance.label, word)
    console.print(table)
    different = [comparison for comparison in comparisons if not comparison.equal]
    if not different:
        console.print(f"all digests of {first} and {second} are equal")
        return
    start = different[0]
    console.print(f"the first difference is in {start.instance.stage.name} of {start.instance.label}:")
    for text in start.differences:
        console.print(f"  {text}", markup=False)
    if len(different) > 1:
        console.print(f"{len(different) - 1} later stages differ as well")
