"""Tables that grow during training, and that a resumed run continues as if it had not been interrupted."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from attacca.atomic import write_text


def format_number(value: float) -> str:
    """Return nine significant digits, which distinguish any two float32 values.

    >>> format_number(0.1)
    '0.1'
    """
    return f"{value:.9g}"


class MetricsTable:
    """File of tab-separated columns, the first of which is ``iteration``.

    Args:
        path: the file; an existing one is continued.
        columns: names of the columns.
        after: rows of later iterations are removed: they belong to a run that was interrupted before its checkpoint.
    """

    def __init__(self, path: Path, columns: Sequence[str], after: int) -> None:
        self.path = path
        self.columns = tuple(columns)
        header = "\t".join(self.columns)
        rows = []
        if path.is_file():
            lines = path.read_text().splitlines()
            if lines and lines[0] == header:
                rows = [line for line in lines[1:] if _is_kept(line, len(self.columns), after)]
        write_text(path, "\n".join([header, *rows]) + "\n")

    def append(self, rows: Sequence[Mapping[str, float | int | str]]) -> None:
        """Add rows with one write."""
        lines = []
        for row in rows:
            values = [row[column] for column in self.columns]
            lines.append("\t".join(format_number(v) if isinstance(v, float) else str(v) for v in values))
        if lines:
            with open(self.path, "a", encoding="utf-8") as file:
                file.write("\n".join(lines) + "\n")

    def read_rows(self) -> list[dict[str, str]]:
        """Return all rows; values are text."""
        lines = self.path.read_text().splitlines()
        return [dict(zip(self.columns, line.split("\t"), strict=True)) for line in lines[1:]]


def _is_kept(line: str, columns: int, after: int) -> bool:
    cells = line.split("\t")
    return len(cells) == columns and cells[0].isdigit() and int(cells[0]) <= after
