"""The end of a run on the terminal: the scores, and where the report is."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from attacca.errors import MissingInputError
from attacca.report.results import Results
from attacca.report.scores import (
    Score,
    best_of,
    broken_scores,
    comparable_groups,
    principal_keys,
    read_scores,
)


def terminal_summary(results: Path | str, width: int = 110) -> str:
    """A table of the scores of all runs and the path of the report, for people.

    Args:
        results: directory of results.
        width: columns of the terminal.

    Raises:
        MissingInputError: there are no results.
    """
    from rich.console import Console

    store = Results(Path(results))
    _refuse_what_holds_no_results(store)
    rows = [
        (run, volume, read_scores(store, run, volume))
        for run in store.list_runs()
        for volume in store.list_volumes(run)
    ]
    groups = comparable_groups([scores for _, _, scores in rows])
    # A stream of its own: nothing is printed, and no color codes reach a log.
    console = Console(file=io.StringIO(), width=width, force_terminal=False, color_system=None)
    if not groups:
        segmented = [f"{run}/{volume}" for run, volume, _ in rows]
        told = (
            f"segmented, without labels to compare with: {', '.join(segmented)}"
            if segmented
            else "nothing is segmented yet"
        )
        console.print(f"No scores in {results}: {told}", highlight=False, soft_wrap=True)
    for number, group in enumerate(groups):
        console.print(_table([rows[index] for index in group], title="" if number else "Scores"))
    if groups:
        starred = "  * best on the volume" if len(rows) > 1 else ""
        console.print(
            f"↓ lower is better  ↑ higher is better{starred}; conventions are in the report", highlight=False
        )
    for run, volume, _ in rows:
        broken = broken_scores(store, run, volume)
        if broken:
            console.print(f"{results}/{broken}", highlight=False, soft_wrap=True)
    report = store.layout.report()
    told = (
        f"Report: {report.absolute()}"
        if report.exists()
        else f"The report {report} has not been written yet; 'attacca status {results}' tells what is missing"
    )
    console.print(told, highlight=False, soft_wrap=True)
    stream = console.file
    assert isinstance(stream, io.StringIO)
    return stream.getvalue().rstrip("\n")


def _refuse_what_holds_no_results(store: Results) -> None:
    place = store.directory
    if not place.is_dir():
        found = "is a file" if place.exists() else "is not there"
        raise MissingInputError(
            f"{place} {found}: give the directory that 'results' of the configuration names"
        )
    if not store.layout.start_record().exists() and not store.list_runs():
        raise MissingInputError(
            f"{place} holds no results: no workflow wrote there yet. Give the directory that 'results' of the "
            "configuration names"
        )


def _table(rows: Sequence[tuple[str, str, list[Score]]], title: str) -> Any:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title or None, title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("run", no_wrap=True)
    table.add_column("volume", no_wrap=True)
    keys = principal_keys(rows[0][2])
    columns = [[next(score for score in scores if score.key == key) for _, _, scores in rows] for key in keys]
    winners: list[set[int]] = []
    for column in columns:
        table.add_column(
            f"{column[0].label} {column[0].arrow}"
            + (f"\n({column[0].unit_symbol})" if column[0].unit else ""),
            justify="right",
        )
        best: set[int] = set()
        for name in {volume for _, volume, _ in rows}:
            where = [index for index, (_, volume, _) in enumerate(rows) if volume == name]
            best |= {where[index] for index in best_of([column[index] for index in where])}
        winners.append(best)
    for index, (run, volume, _) in enumerate(rows):
        cells = [
            column[index].text + (" *" if index in best else "") for column, best in zip(columns, winners)
        ]
        table.add_row(Text(run), Text(volume), *map(Text, cells))
    return table
