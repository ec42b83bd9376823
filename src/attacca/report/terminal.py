"""Summary of the results for the terminal: tables of scores, and the path of the report."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from attacca.errors import MissingInputError
from attacca.report.results import Results, read_json
from attacca.report.scores import (
    Score,
    choose_principal_keys,
    describe_broken_scores,
    find_best,
    group_comparable,
    read_scores,
    read_warnings,
)

if TYPE_CHECKING:
    from rich.table import Table

_LEGEND = "↓ lower is better  ↑ higher is better"


def summarize_results(directory: Path | str, width: int = 110) -> str:
    """Return tables with the scores of all runs, and the path of the report.

    Args:
        directory: directory of results.
        width: columns of the terminal.

    Raises:
        MissingInputError: the directory does not exist or holds no results.
    """
    # deferred: stages import this room, and only the command line prints tables.
    from rich.console import Console

    results = Results(Path(directory))
    _check_directory(results)
    rows = [
        (run, volume, read_scores(results, run, volume))
        for run in results.list_runs()
        for volume in results.list_volumes(run)
    ]
    groups = group_comparable([scores for _, _, scores in rows])
    # A stream of its own: nothing is printed, and no color codes reach a log.
    stream = io.StringIO()
    console = Console(
        file=stream, width=width, force_terminal=False, color_system=None, markup=False, emoji=False
    )

    def print_line(text: str) -> None:
        console.print(text, highlight=False, soft_wrap=True)

    if not groups:
        segmented = ", ".join(f"{run}/{volume}" for run, volume, _ in rows)
        reason = (
            f"segmented, without labels to compare with: {segmented}"
            if segmented
            else "nothing is segmented yet"
        )
        print_line(f"No scores in {directory}: {reason}")
    for number, group in enumerate(groups):
        console.print(_make_table([rows[index] for index in group], title="" if number else "Scores"))
    if groups:
        is_compared = len({volume for _, volume, _ in rows}) < len(rows)
        star = "  * best on the volume" if is_compared else ""
        print_line(f"{_LEGEND}{star}; the report explains how each score is computed")
    for run, volume, scores in rows:
        if not scores and read_json(results.layout.manifest(run, volume, "segmentation")):
            print_line(_describe_unscored(results, run, volume))
    for run, volume, _ in rows:
        broken = describe_broken_scores(results, run, volume)
        if broken:
            print_line(f"{directory}/{broken}")
        for warning in read_warnings(results, run, volume):
            print_line(f"warning: {run}/{volume}: {warning}")
    report = results.layout.report()
    if report.exists():
        print_line(f"Report: {report.absolute()}")
    else:
        print_line(
            f"The report {report} does not exist yet; 'attacca status {directory}' lists what is missing"
        )
    return stream.getvalue().rstrip("\n")


def _describe_unscored(results: Results, run: str, volume: str) -> str:
    """Name a segmentation without scores, the reason, and its path."""
    reason = "labels, but not evaluated yet" if results.volume_image(volume, "labels") else "no labels"
    segmentation = Path(results.layout.image(run, volume, "segmentation"))
    if segmentation.exists():
        place = str(segmentation.absolute())
    else:
        place = f"{segmentation.relative_to(results.directory)} in the 'storage' of the configuration"
    return f"{run}/{volume} is segmented ({reason}): {place}"


def _check_directory(results: Results) -> None:
    directory = results.directory
    fix = "Give the directory that 'results' of the configuration names"
    if not directory.is_dir():
        problem = "is a file" if directory.exists() else "does not exist"
        raise MissingInputError(f"{directory} {problem}. {fix}")
    if not results.layout.start_record().exists() and not results.list_runs():
        raise MissingInputError(f"{directory} holds no results: no workflow has written there yet. {fix}")


def _make_table(rows: Sequence[tuple[str, str, list[Score]]], title: str) -> "Table":
    # deferred: stages import this room, and only the command line prints tables.
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title or None, title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("run", no_wrap=True)
    table.add_column("volume", no_wrap=True)
    cells: list[list[str]] = []
    for key in choose_principal_keys(rows[0][2]):
        column = [next(score for score in scores if score.key == key) for _, _, scores in rows]
        header = f"{column[0].label} {column[0].arrow}"
        table.add_column(
            f"{header}\n({column[0].unit_symbol})" if column[0].unit else header, justify="right"
        )
        best = find_best(column, [volume for _, volume, _ in rows])
        cells.append([score.text + (" *" if index in best else "") for index, score in enumerate(column)])
    for index, (run, volume, _) in enumerate(rows):
        table.add_row(Text(run), Text(volume), *(Text(column[index]) for column in cells))
    return table
