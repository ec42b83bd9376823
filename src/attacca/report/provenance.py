"""The configuration in short, and where results come from."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from attacca.report.results import Results, read_json, read_table


class Fact(NamedTuple):
    """A name, its value, and whether it is a digest or code, which is set in a fixed width."""

    name: str
    value: str
    code: bool = False


_OF_NO_CHANNELS = ("num_fmaps", "fmap_inc_factor")
"""Settings of an architecture that count only where its channels are not listed."""


def configuration_facts(config: Mapping[str, Any]) -> list[Fact]:
    """What a reader must know of a run before looking at its results."""
    facts: list[Fact] = []
    task = _mapping(config.get("task"))
    below = _mapping(task.get("sub_task_config"))
    kind = str(below.get("type") or task.get("type") or "")
    if kind:
        text = kind.replace("_", " ")
        text += " with local shape descriptors" if (below or task).get("lsds") else ""
        text += ", from a checkpoint" if below else ""
        facts.append(Fact("task", text))
    names = (below or task).get("classes") or (below or task).get("channels")
    if names:
        facts.append(Fact("classes", ", ".join(map(str, names))))
    architecture = _mapping(config.get("architecture"))
    if architecture.get("channels"):
        architecture = {key: value for key, value in architecture.items() if key not in _OF_NO_CHANNELS}
    if architecture:
        facts.append(Fact("architecture", _sentence(architecture)))
    training = _mapping(config.get("training"))
    for key in ("iterations", "batch_size", "learning_rate"):
        if training.get(key) is not None:
            facts.append(
                Fact(
                    key.replace("_", " "),
                    f"{training[key]:,}".replace(",", "\u202f")
                    if isinstance(training[key], int)
                    else str(training[key]),
                )
            )
    volumes = _mapping(config.get("volumes"))
    for key, label in (
        ("train", "trained on"),
        ("validate", "chosen on"),
        ("validation", "chosen on"),
        ("test", "tested on"),
    ):
        if volumes.get(key):
            facts.append(Fact(label, ", ".join(map(str, volumes[key]))))
    if config.get("seed") is not None:
        facts.append(Fact("seed", str(config["seed"])))
    offsets = (below or task).get("neighborhood")
    if isinstance(offsets, list) and offsets:
        facts.append(
            Fact("neighborhood", " ".join(str(list(offset)).replace(" ", "") for offset in offsets), True)
        )
    return facts


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _sentence(section: Mapping[str, Any]) -> str:
    parts: list[str] = []
    for key, value in section.items():
        if value is None or value == "" or isinstance(value, Mapping):
            continue
        if key == "type":
            parts.insert(0, str(value))
        else:
            parts.append(f"{key.replace('_', ' ')} {_plain(value)}")
    return ", ".join(parts)


def short(value: Any) -> str:
    """A value in one line."""
    text = f"{value:.5g}" if isinstance(value, float) else _plain(value)
    return text if len(text) <= 200 else text[:197] + "…"


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return "[" + ", ".join(_plain(item) for item in value) + "]"
    return str(value)


def provenance_facts(results: Results, run: str) -> list[Fact]:
    """Versions, seeds, machine and digests that were written down; empty where nothing is there yet."""
    facts: list[Fact] = []
    _flatten("", read_json(results.layout.provenance(run)), facts)
    return facts


def output_rows(results: Results, run: str) -> list[tuple[str, ...]]:
    """Stage, volume (or run), what, and digest of everything that a run made."""
    rows: list[tuple[str, ...]] = []
    for stage, places in _mapping(read_json(results.layout.provenance(run)).get("outputs")).items():
        for place, details in _mapping(places).items():
            for name, value in _mapping(details).items():
                text = str(_mapping(value).get("digest") or (value if isinstance(value, str) else ""))
                if text:
                    rows.append((str(stage), str(place), str(name), text))
    return rows


# The resolved configuration stands in the file itself; outputs have a table of their own.
_NOT_SHOWN = {"configuration", "outputs", "stage", "version"}


def _flatten(prefix: str, value: Any, facts: list[Fact], limit: int = 80) -> None:
    if len(facts) >= limit:
        return
    if isinstance(value, Mapping):
        for key, item in value.items():
            if not prefix and key in _NOT_SHOWN:
                continue
            _flatten(f"{prefix} {str(key).replace('_', ' ')}".strip(), item, facts, limit)
        return
    if isinstance(value, list) and value and all(isinstance(item, Mapping) for item in value):
        # Machines: one line each.
        for number, item in enumerate(value, start=1):
            told = ", ".join(
                f"{key}: {_plain(detail)}" for key, detail in item.items() if detail not in ("", [])
            )
            facts.append(Fact(prefix if len(value) == 1 else f"{prefix} {number}", short(told)))
        return
    if value is None or value == "":
        return
    text = _plain(value)
    digest = len(text) >= 40 and all(character in "0123456789abcdef" for character in text)
    facts.append(Fact(prefix, short(text), digest))


def blocks_table(results: Results, run: str) -> list[tuple[str, ...]]:
    """Stage, volume, blocks and measured time of each stage over a volume, as far as it is known.

    Times come from Snakemake's benchmarks, which are no part of any manifest.
    """
    rows: list[tuple[str, ...]] = []
    for volume in results.list_volumes(run):
        for name in ("prediction", "fragments", "graph", "segmentation"):
            manifest = read_json(results.layout.manifest(run, volume, name))
            if not manifest:
                continue
            result = _mapping(manifest.get("result"))
            blocks = result.get("blocks") or result.get("num_blocks") or ""
            rows.append((name, volume, str(blocks), _seconds(results, run, volume, name)))
    return rows


def _seconds(results: Results, run: str, volume: str, stage: str) -> str:
    rule = {"prediction": "predict", "segmentation": "relabel"}.get(stage, stage)
    seconds = 0.0
    for path in results.layout.benchmarks(run, volume, rule):
        column = read_table(path).get("s")
        if column is not None and len(column):
            seconds += float(column[-1])
    return f"{seconds:.0f} s" if seconds else ""
