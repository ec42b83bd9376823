"""The end of a run on the terminal: the scores, and where the report is."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from attacca.report.results import Results
from attacca.report.scores import Score, best_of, comparable_groups, principal_keys, read_scores


def terminal_summary(results: Path | str, width: int = 110) -> str:
    """A table of the scores of all runs and the path of the report, for people.

    Args:
        results: directory of results.
        width: columns of the terminal.
    """
    from rich.console import Console

    store = Results(Path(results))
    rows = [
        (run, volume, read_scores(store, run, volume))
        for run in store.runs()
        for volume in store.volumes(run)
    ]
    groups = comparable_groups([scores for _, _, scores in rows])
    # A stream of its own: nothing is printed, and no colour codes reach a log.
    console = Console(file=io.StringIO(), width=width, force_terminal=False, color_system=None)
    if not groups:
        segmented = [f"{run}/{volume}" for run, volume, _ in rows]
        told = (
            f"segmented, without labels to compare with: {', '.join(segmented)}"
            if segmented
            else "nothing yet"
        )
        console.print(f"No scores in {results}: {told}", highlight=False, soft_wrap=True)
    for number, group in enumerate(groups):
        console.print(_table([rows[index] for index in group], title="" if number else "Scores"))
    if groups:
        starred = "  * best on the volume" if len(rows) > 1 else ""
        console.print(
            f"↓ lower is better  ↑ higher is better{starred}; conventions are in the report", highlight=False
        )
    report = Path(results) / "report.html"
    told = (
        f"Report: {report.absolute()}" if report.exists() else f"The report {report} has not been written yet"
    )
    console.print(told, highlight=False, soft_wrap=True)
    stream = console.file
    assert isinstance(stream, io.StringIO)
    return stream.getvalue().rstrip("\n")


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
