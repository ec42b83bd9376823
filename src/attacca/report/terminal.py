"""Summary of the results for the terminal: tables of scores, and the path of the report."""

import io
from collections.abc import Iterator, Sequence
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
    from rich.console import Console
    from rich.table import Table

_USUAL_WIDTH = 11
"""Width at which headers of several words are wrapped."""
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

    unscored = [
        (run, volume)
        for run, volume, scores in rows
        if not scores and read_json(results.layout.manifest(run, volume, "segmentation"))
    ]
    if not groups and not unscored:
        print_line(f"No scores in {directory}: nothing is segmented yet")
    for number, group in enumerate(groups):
        title = "" if number else "Scores"
        for table in _make_tables([rows[index] for index in group], title, console):
            console.print(table)
    if groups:
        is_compared = len({volume for _, volume, _ in rows}) < len(rows)
        star = "  * best on the volume" if is_compared else ""
        print_line(f"{_LEGEND}{star}; the report explains how each score is computed")
    for run, volume in unscored:
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


def _make_tables(
    rows: Sequence[tuple[str, str, list[Score]]], title: str, console: "Console"
) -> Iterator["Table"]:
    """Yield a table of all scores, or several ones with as many columns as fit without a break within a word."""
    names = [["run", *(run for run, _, _ in rows)], ["volume", *(volume for _, volume, _ in rows)]]
    columns = []
    for key in choose_principal_keys(rows[0][2]):
        scores = [next(score for score in row[2] if score.key == key) for row in rows]
        best = find_best(scores, [volume for _, volume, _ in rows])
        header = f"{scores[0].label} {scores[0].arrow}"
        header += f"\n({scores[0].unit_symbol})" if scores[0].unit else ""
        columns.append(
            [header, *(score.text + (" *" if index in best else "") for index, score in enumerate(scores))]
        )
    wide = console.options.update(max_width=1000)
    part: list[list[str]] = []
    for column in columns:
        extended = _make_table(names, [*part, column], title)
        if part and console.measure(extended, options=wide).maximum > console.width:
            yield _make_table(names, part, title)
            part, title = [], ""
        part.append(column)
    yield _make_table(names, part, title)


def _choose_width(column: Sequence[str]) -> int:
    """Return the width of a column of scores: its header is wrapped between words."""
    header, *cells = column
    words = max(map(len, header.split()))
    return max(words, min(len(header.split("\n")[0]), _USUAL_WIDTH), *map(len, cells))


def _make_table(names: Sequence[Sequence[str]], columns: Sequence[Sequence[str]], title: str) -> "Table":
    # deferred: stages import this room, and only the command line prints tables.
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title or None, title_justify="left", box=box.SIMPLE_HEAD)
    for header, *_ in names:
        table.add_column(header, no_wrap=True)
    for column in columns:
        table.add_column(column[0], justify="right", width=_choose_width(column))
    for cells in list(zip(*names, *columns, strict=True))[1:]:
        table.add_row(*map(Text, cells))
    return table
