"""Two directories of results, compared stage by stage by the digests in their provenance."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from rich.console import Console
from rich.table import Table
from rich.text import Text

from attacca.config.run import Configuration
from attacca.errors import AttaccaError
from attacca.fingerprint import list_differences
from attacca.layout import Layout
from attacca.stages.provenance import IN_PLACE
from attacca.workflow.catalogue import StageInstance, instances
from attacca.workflow.workflow import Workflow

_STYLES = {"equal": "green", "differ": "red", "no digest": "yellow"}


@dataclass(frozen=True)
class Comparison:
    """One stage in both directories.

    Args:
        instance: which.
        verdict: ``equal``, ``differ``, or ``no digest`` where nothing of the first result was digested: it had been
            deleted when its provenance was written.
        differences: what differs: digests of results, then what is known of the reason.
    """

    instance: StageInstance
    verdict: str
    differences: list[str] = field(default_factory=list)

    @property
    def equal(self) -> bool:
        """Whether no digest is another one."""
        return self.verdict != "differ"


def compare(
    first: Path, second: Path, known: Mapping[str, Any], again: Mapping[str, Any]
) -> list[Comparison]:
    """Compare the digests of all stages of one run, in the order of computation: volumes come first."""
    compared = []
    name = next(iter(known["configuration"]["runs"]))
    for instance in _instances(first, known):
        key = (instance.stage.name, instance.volume or instance.run)
        here = known["outputs"].get(key[0], {}).get(key[1])
        there = again["outputs"].get(key[0], {}).get(key[1])
        if here is None and there is None:
            continue
        if here is None or there is None:
            found = "missing" if there is None else "new"
            compared.append(
                Comparison(instance, "differ", [f"it is {found} in the second directory of run {name}"])
            )
            continue
        # Results count: a manifest that differs (a moved source, say) with equal results does not.
        before, now = _content(here), _content(there)
        if not before:
            compared.append(Comparison(instance, "no digest"))
        elif before == now:
            compared.append(Comparison(instance, "equal"))
        else:
            differences = [
                *_input_differences(instance, known, again, before, now),
                *list_differences(before, now),
                *_reasons(instance, first, second),
            ]
            compared.append(Comparison(instance, "differ", differences))
    return compared


def _instances(results: Path, provenance: Mapping[str, Any]) -> list[StageInstance]:
    values = {**provenance["configuration"], "results": str(results)}
    try:
        return instances(Workflow(Configuration.model_validate(values)))
    except ValidationError as error:
        raise AttaccaError(
            f"the configuration in the provenance.json of {results} is none that this version of Attacca reads: "
            f"{error.errors()[0]['msg']} ({'.'.join(map(str, error.errors()[0]['loc']))})"
        ) from None


def _content(details: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in details.items() if key != "fingerprint"}


def _input_differences(
    instance: StageInstance,
    known: Mapping[str, Any],
    again: Mapping[str, Any],
    before: Mapping[str, Any],
    now: Mapping[str, Any],
) -> list[str]:
    """What is to be said of the files that a volume was made of."""
    if instance.stage.name != "volume":
        return []
    settings = known["configuration"]["volumes"].get(instance.volume) or {}
    changed = [
        name
        for name, details in before.items()
        if isinstance(details, dict) and details.get(IN_PLACE) and now.get(name) != details
    ]
    if changed:
        sources = [f"{name} ({_source(settings, name)})" for name in changed]
        return [
            f"the input differs: {' and '.join(sources)}, read where it stands, has another content than at the time "
            "of the first results"
        ]
    states = [values.get("inputs", {}).get(instance.volume) for values in (known, again)]
    if settings.get("synthetic") is None and None not in states and states[0] != states[1]:
        return [
            "the input differs: the files that the volume is made of have changed since the first results"
        ]
    return []


def _source(settings: Mapping[str, Any], name: str) -> str:
    source = settings.get(name) or {}
    return "/".join(str(source[key]) for key in ("path", "dataset") if source.get(key))


def _reasons(instance: StageInstance, first: Path, second: Path) -> list[str]:
    try:
        old, new = (json.loads(instance.manifest(Layout(place)).read_text()) for place in (first, second))
    except (OSError, ValueError):
        return []
    parts = ("version", "parameters")
    return list(list_differences({key: old.get(key) for key in parts}, {key: new.get(key) for key in parts}))


def show(comparisons: list[Comparison], first: Path, second: Path, console: Console) -> None:
    """Print a line for each stage, and the first that differs."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("stage", "of", "digests"):
        table.add_column(name)
    for comparison in comparisons:
        word = Text(comparison.verdict, style=_STYLES[comparison.verdict])
        table.add_row(comparison.instance.stage.name, comparison.instance.label, word)
    console.print(table)
    different = [comparison for comparison in comparisons if not comparison.equal]
    unknown = sum(comparison.verdict == "no digest" for comparison in comparisons)
    if unknown:
        console.print(
            Text(
                f"{unknown} results of {first} had been deleted when digests were taken and are not compared"
            )
        )
    if not different:
        console.print(Text(f"all {'other ' if unknown else ''}digests of {first} and {second} are equal"))
        return
    start = different[0]
    console.print(f"the first difference is in {start.instance.stage.name} of {start.instance.label}:")
    for text in start.differences:
        console.print(f"  {text}", markup=False)
    if len(different) > 1:
        console.print(f"{len(different) - 1} later stages differ as well")
