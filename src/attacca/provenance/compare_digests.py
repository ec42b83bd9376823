"""Comparison of the digests of two computations, stage by stage."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table
from rich.text import Text

from attacca.fingerprint import list_differences

READ_IN_PLACE = "read in place"
"""Key beside the digest of an array that is not a part of the results, but of the input."""

_STYLES = {"equal": "green", "differ": "red", "no digest": "yellow"}


class ResultKey(NamedTuple):
    """Names of the results of a stage for one run and volume.

    Args:
        stage: name of the stage.
        run: name of the run; empty for stages that runs share.
        volume: name of the volume; empty for stages over a whole run.
        manifest: path of the manifest, relative to the directory of results.
    """

    stage: str
    run: str
    volume: str
    manifest: Path

    @property
    def label(self) -> str:
        """``run/volume``."""
        return "/".join(filter(None, [self.run, self.volume]))


@dataclass(frozen=True)
class ComparedResult:
    """Comparison of the results of one stage.

    Args:
        key: names of the results.
        verdict: ``equal``, ``differ``, or ``no digest`` if the first result was not digested.
        differences: digests that differ, then possible reasons.
    """

    key: ResultKey
    verdict: str
    differences: Sequence[str] = ()


def compare_digests(
    keys: Iterable[ResultKey],
    results: tuple[Path, Path],
    provenances: tuple[Mapping[str, Any], Mapping[str, Any]],
) -> list[ComparedResult]:
    """Compare the digests of the results of one run.

    Args:
        keys: results to compare, in the order of computation.
        results: both directories of results.
        provenances: contents of the ``provenance.json`` of the run in both directories.
    """
    compared = []
    for key in keys:
        both = [values["outputs"].get(key.stage, {}).get(key.volume or key.run) for values in provenances]
        if both == [None, None]:
            continue
        if None in both:
            run = next(iter(provenances[0]["configuration"]["runs"]))
            found = "missing" if both[1] is None else "new"
            compared.append(
                ComparedResult(key, "differ", [f"it is {found} in the second directory of run {run}"])
            )
            continue
        # The fingerprint is left out: it also depends on inputs, such as the path of a source.
        old, new = ({name: value for name, value in item.items() if name != "fingerprint"} for item in both)
        if not old or old == new:
            compared.append(ComparedResult(key, "equal" if old else "no digest"))
            continue
        # Stages that runs share read the user's files.
        inputs = [] if key.run else _compare_inputs(key, provenances, old, new)
        settings = _compare_manifests([path / key.manifest for path in results])
        compared.append(ComparedResult(key, "differ", [*inputs, *list_differences(old, new), *settings]))
    return compared


def _compare_inputs(
    key: ResultKey,
    provenances: tuple[Mapping[str, Any], Mapping[str, Any]],
    old: Mapping[str, Any],
    new: Mapping[str, Any],
) -> list[str]:
    """Return messages about changed files from which a volume was imported."""
    config = provenances[0]["configuration"]["volumes"].get(key.volume) or {}
    changed = []
    for name, content in old.items():
        if isinstance(content, dict) and content.get(READ_IN_PLACE) and new.get(name) != content:
            source = config.get(name) or {}
            path = "/".join(str(source[part]) for part in ("path", "dataset") if source.get(part))
            changed.append(f"{name} ({path})")
    if changed:
        sources = " and ".join(changed)
        return [f"the input differs: {sources}, used in place, has changed since the first computation"]
    states = [values.get("inputs", {}).get(key.volume) for values in provenances]
    if config.get("synthetic") is None and None not in states and states[0] != states[1]:
        return ["the input differs: the files of the volume have changed since the first computation"]
    return []


def _compare_manifests(paths: Iterable[Path]) -> list[str]:
    """Return the differences of the version and the parameters in two manifests, if both can be read."""
    try:
        old, new = (
            {name: manifest.get(name) for name in ("version", "parameters")}
            for manifest in (json.loads(path.read_text()) for path in paths)
        )
    except (OSError, ValueError):
        return []
    return list(list_differences(old, new))


def print_comparison(
    compared: Sequence[ComparedResult],
    results: tuple[Path, Path],
    console: Console,
    are_current: bool = True,
) -> None:
    """Print one line per stage, and the differences of the first stage that differs.

    Args:
        compared: the comparison of each stage.
        results: both directories of results.
        console: where to print.
        are_current: whether the digests are those of the files in both directories.
    """
    table = Table("stage", "of", "digests", box=None, pad_edge=False, header_style="bold")
    for item in compared:
        table.add_row(item.key.stage, item.key.label, Text(item.verdict, style=_STYLES[item.verdict]))
    console.print(table)
    different = [item for item in compared if item.verdict == "differ"]
    unknown = sum(item.verdict == "no digest" for item in compared)
    lines = []
    if unknown:
        lines.append(
            f"{unknown} results of {results[0]} have no digests: they were deleted before, or an earlier version did not "
            "compute any"
        )
    if not different:
        names = ("other " if unknown else "") + ("" if are_current else "recorded ")
        lines.append(f"all {names}digests of {results[0]} and {results[1]} are equal")
    else:
        first = different[0]
        lines.append(f"the first difference is in {first.key.stage} of {first.key.label}:")
        lines += [f"  {text}" for text in first.differences]
    if len(different) > 1:
        lines.append(f"{len(different) - 1} later stages differ as well")
    if not are_current:
        lines.append("files have changed since (listed above): their content is not compared")
    for line in lines:
        console.print(Text(line))
