"""Tables that grow while a network learns, and that a resumed run continues as if it had never stopped."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from attacca.atomic import write_text


def format_number(value: float) -> str:
    """Nine significant digits: enough to tell any two float32 values apart."""
    return f"{value:.9g}"


class Table:
    """A file of tab-separated columns, the first of which is ``iteration``.

    Args:
        path: the file; continued if it is there.
        columns: names of the columns.
        after: rows of later iterations are taken out: they belong to a run that was interrupted before its
            checkpoint.
    """

    def __init__(self, path: Path, columns: Sequence[str], after: int) -> None:
        self.path = path
        self.columns = tuple(columns)
        header = "\t".join(self.columns)
        rows = []
        if path.is_file():
            lines = path.read_text().splitlines()
            if lines and lines[0] == header:
                rows = [line for line in lines[1:] if _belongs(line, len(self.columns), after)]
        write_text(path, "\n".join([header, *rows]) + "\n")

    def append(self, rows: Sequence[Mapping[str, float | int | str]]) -> None:
        """Add rows in one write."""
        lines = []
        for row in rows:
            values = [row[column] for column in self.columns]
            lines.append("\t".join(format_number(v) if isinstance(v, float) else str(v) for v in values))
        if lines:
            with open(self.path, "a", encoding="utf-8") as file:
                file.write("\n".join(lines) + "\n")

    def rows(self) -> list[dict[str, str]]:
        """All rows, as text."""
        lines = self.path.read_text().splitlines()
        return [dict(zip(self.columns, line.split("\t"), strict=True)) for line in lines[1:]]


def _belongs(line: str, columns: int, after: int) -> bool:
    cells = line.split("\t")
    return len(cells) == columns and cells[0].isdigit() and int(cells[0]) <= after
