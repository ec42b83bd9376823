"""The largest objects of a segmentation, with links to their locations."""

from dataclasses import dataclass

from attacca.report.results import Results, read_json
from attacca.report.scores import format_score
from attacca.report.viewer import make_open_link


@dataclass(frozen=True)
class ObjectSection:
    """The table of objects, as far as the page shows it.

    Attributes:
        count: number of objects of the volume.
        file: path of the whole table, relative to the page.
        columns: names of the columns with their units.
        rows: link and cells of each object, largest first.
    """

    count: int
    file: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[str, ...]], ...]


def read_objects(results: Results, run: str, volume: str) -> ObjectSection | None:
    """Read the largest objects from the manifest of their table; None before it is written.

    Args:
        results: results of all runs.
        run: name of the run.
        volume: name of the volume.
    """
    result = read_json(results.layout.manifest(run, volume, "objects")).get("result")
    if not isinstance(result, dict) or not result.get("largest"):
        return None
    names = [str(name) for name in result["columns"]]
    first_center = 4
    first_extent = first_center + (len(names) - 5) // 3
    columns = [*names[:4], *names[first_center:first_extent]]
    columns += [name.replace("_min_", "_") + ":extent" for name in names[first_extent:-1:2]]
    rows = []
    for row in result["largest"]:
        center = [round(value) for value in row[first_center:first_extent]]
        extents = [
            f"{low}–{high}" for low, high in zip(row[first_extent:-1:2], row[first_extent + 1 : -1 : 2])
        ]
        cells = [str(row[0]), str(row[1]), *map(format_score, row[2:4]), *map(str, center), *extents]
        cells.append("yes" if row[-1] else "no")
        rows.append((make_open_link(run, volume, center, segments=[row[0]]), tuple(cells)))
    file = results.layout.object_table(run, volume).relative_to(results.directory).as_posix()
    return ObjectSection(
        int(result["objects"]), file, tuple(map(_name_column, [*columns, names[-1]])), tuple(rows)
    )


def _name_column(name: str) -> str:
    """Return the name of a column for readers.

    >>> [_name_column(name) for name in ("volume_um3", "z_nm", "z_nm:extent", "touches_border", "id")]
    ['volume (µm³)', 'z (nm)', 'z extent (nm)', 'touches border', 'id']
    """
    name, _, kind = name.partition(":")
    if name == "touches_border":
        return "touches border"
    word, _, unit = name.partition("_")
    unit = unit.replace("um", "µm").replace("3", "³").replace("2", "²").replace("A", "Å")
    return f"{word}{' ' + kind if kind else ''}{f' ({unit})' if unit else ''}"
