"""Provenance of a run: versions, seeds, hardware, digests, and the time of each stage."""

from collections.abc import Mapping
from typing import Any

from attacca.report.facts import Fact, as_mapping, format_plain, format_setting
from attacca.report.results import Results, read_json, read_table

_HIDDEN = {"configuration", "outputs", "stage", "version"}
"""Keys of the provenance that are not listed: outputs have a table of their own."""

_MAX_FACTS = 80

_BLOCKWISE_RESULTS = ("prediction", "fragments", "graph", "segmentation")
"""Results of a volume that are computed in blocks."""


def read_provenance_facts(results: Results, run: str) -> list[Fact]:
    """Read versions, seeds, hardware and digests of a run; empty before they are written."""
    facts: list[Fact] = []
    _flatten("", read_json(results.layout.provenance(run)), facts)
    return facts[:_MAX_FACTS]


def _flatten(prefix: str, value: Any, facts: list[Fact]) -> None:
    if isinstance(value, Mapping):
        for key, item in value.items():
            if prefix or key not in _HIDDEN:
                _flatten(f"{prefix} {str(key).replace('_', ' ')}".strip(), item, facts)
    elif isinstance(value, list) and value and all(isinstance(item, Mapping) for item in value):
        # Machines: one line each.
        for number, item in enumerate(value, start=1):
            details = [
                f"{key}: {format_plain(detail)}" for key, detail in item.items() if detail not in ("", [])
            ]
            name = prefix if len(value) == 1 else f"{prefix} {number}"
            facts.append(Fact(name, format_setting(", ".join(details))))
    elif value is not None and value != "":
        text = format_plain(value)
        is_digest = len(text) >= 40 and all(character in "0123456789abcdef" for character in text)
        facts.append(Fact(prefix, format_setting(value), is_digest))


def list_output_digests(results: Results, run: str) -> list[tuple[str, ...]]:
    """Return stage, volume (or run), name and digest of each output of a run."""
    rows: list[tuple[str, ...]] = []
    for stage, places in as_mapping(read_json(results.layout.provenance(run)).get("outputs")).items():
        for place, outputs in as_mapping(places).items():
            for name, value in as_mapping(outputs).items():
                text = str(as_mapping(value).get("digest") or (value if isinstance(value, str) else ""))
                if text:
                    rows.append((str(stage), str(place), str(name), text))
    return rows


def list_block_times(results: Results, run: str) -> list[tuple[str, ...]]:
    """Return result, volume, number of blocks and time of each stage over a volume.

    Times come from Snakemake's benchmarks, which are not part of any manifest.
    """
    rows: list[tuple[str, ...]] = []
    for volume in results.list_volumes(run):
        for name in _BLOCKWISE_RESULTS:
            manifest = read_json(results.layout.manifest(run, volume, name))
            if manifest:
                # Tasks with and without agglomeration compute their segmentations in different stages.
                stage = str(manifest.get("stage", ""))
                blocks = count_blocks(results, run, volume, name)
                rows.append((name, volume, str(blocks or ""), _read_time(results, run, volume, stage)))
    return rows


def count_blocks(results: Results, run: str, volume: str, name: str) -> int | None:
    """Return the number of blocks of a result, from its manifest or its plan; None if neither has it.

    Args:
        results: results of all runs.
        run: name of the run.
        volume: name of the volume.
        name: name of the result, such as ``segmentation``.
    """
    path = results.layout.manifest(run, volume, name)
    for values in (as_mapping(read_json(path).get("result")), read_json(results.layout.plan(path))):
        blocks = values.get("blocks", values.get("num_blocks"))
        if isinstance(blocks, int):
            return blocks
    return None


def _read_time(results: Results, run: str, volume: str, stage: str) -> str:
    seconds = 0.0
    for path in results.layout.benchmarks(run, volume, stage):
        column = read_table(path).get("s")
        if column is not None and len(column):
            seconds += float(column[-1])
    return f"{seconds:.0f} s" if seconds else ""
