"""Drawing and table of the rooms of ``src/attacca``, made from its imports.

``python docs/draw_rooms.py`` writes ``docs/rooms.svg`` and the table in ``docs/architecture.md``.
``tests/test_rooms.py`` checks that both are up to date.
"""

import ast
import sys
import textwrap
from html import escape
from pathlib import Path

DOCS = Path(__file__).resolve().parent
sys.path.insert(0, str(DOCS.parent / "tests"))

from test_layers import HEIGHT, LAYERS, MODULES, import_nodes, imported_modules, room_of  # noqa: E402

PAGE, DRAWING = DOCS / "architecture.md", DOCS / "rooms.svg"
START, END = "<!-- rooms: python docs/draw_rooms.py -->", "<!-- end of rooms -->"

BASE = "base"
BANDS = {
    "#7a4fa3": ("cli", "api", "proposal", "costs", "workflow", "stages", "jobs"),
    "#a34f06": ("preflight", "provenance", "report", "exchange"),
    "#0b6e75": ("training", "prediction", "tasks", "post_processors", "segmentation", "evaluators", "export"),
    "#3f7d20": ("losses", "predictors", "model", "checkpoint", "model_file", "device", "architectures", "gp"),
    "#2a5fa8": (
        "volumes",
        "blockwise",
        "arrays",
        "config",
        "manifest",
        "archive",
        "extras",
        "extensions",
        BASE,
    ),
}
"""Color of each group of rooms."""

CONTENTS = {
    "cli": "attacca init, check, plan, apply, status, summary, view, reproduce, model, new",
    "api": "train, predict, segment and evaluate arrays from a script",
    "proposal": "attacca init: from given files to a commented configuration",
    "costs": "blocks, memory, disk, files and time of each stage",
    "workflow": "what the Snakefile uses: rules, rerun triggers, staleness, start record",
    "stages": "one module per stage, with its declaration; the registry of all stages",
    "jobs": "what a job uses: stage declaration, arguments, plan/shard/finish",
    "preflight": "checks of a configuration against its data, before any job",
    "provenance": "digests, software and hardware, reproduction",
    "exchange": "models in the formats of other programs: BioImage Model Zoo, torch.export",
    "report": "pictures, plots, the HTML page, viewer states",
    "training": "sample pipeline, training loop, validation, checkpoints",
    "prediction": "a network applied to a volume, block by block",
    "tasks": "predictor + loss + post-processor + evaluator",
    "post_processors": "prediction -> segmentation, and the parameters to try",
    "segmentation": "fragments, region graph, agglomeration, relabeling, tuning, checks",
    "export": "segmentations, meshes and skeletons in the formats of other programs",
    "evaluators": "segmentation and ground truth -> scores, from sums over blocks",
    "losses": "prediction, target and weight -> number",
    "predictors": "labels -> target and weight; architecture -> model",
    "model": "an architecture with its prediction head",
    "checkpoint": "the reader and writer of trained weights",
    "model_file": "a trained network in one portable file",
    "device": "the choice of CPU or GPU",
    "architectures": "U-Net, and the arithmetic of sizes",
    "gp": "gunpowder nodes: sources and augmentations",
    "volumes": "readers and importers of all formats, synthetic tissue",
    "blockwise": "grid of blocks, ledger of finished blocks, shards, runner",
    "arrays": "arrays in world units over Zarr and numpy, OME-Zarr, pyramids, storage",
    "config": "models of the configuration file",
    "manifest": "files that record a result and everything that it depends on",
    "extensions": "parts of the user's own, in files and installed packages",
    "archive": "ZIP files that are read without trust in their origin",
    "extras": "optional packages, which the extras of Attacca install",
    BASE: ", ".join(name for name in LAYERS[0] if name != "__init__"),
}
"""Contents of each room, in a few words."""

ROW, BOX_HEIGHT, BOX_LEFT, BOX_RIGHT, WIDTH = 38, 32, 16, 670, 890
TEXT_LEFT = BOX_LEFT + 160
LONGEST_LINE, LONGEST_SMALL_LINE = 78, 84
"""Characters of a line that fits in a box: a character is about half as wide as the font is high."""


def list_rooms() -> list[str]:
    """Return the rooms from top to bottom. The modules of the lowest layer count as one room."""
    return [room for layer in LAYERS[:0:-1] for room in layer] + [BASE]


def find_imports() -> dict[str, list[str]]:
    """Return for each room the lower rooms that it imports, without those that these import themselves."""
    direct: dict[str, set[str]] = {room: set() for room in list_rooms()}
    for path in MODULES.values():
        room = _name(room_of(path))
        for node, _ in import_nodes(ast.parse(path.read_text())):
            imported = {_name(module.split(".")[1]) for module in imported_modules(node) - {"attacca"}}
            direct[room] |= {other for other in imported if _height(other) < _height(room)}
    reachable: dict[str, set[str]] = {}
    for room in reversed(list_rooms()):
        reachable[room] = direct[room].union(*(reachable[other] for other in direct[room]))
    return {
        room: [
            other
            for other in list_rooms()
            if other in imported and not any(other in reachable[middle] for middle in imported)
        ]
        for room, imported in direct.items()
    }


def _name(room: str) -> str:
    return BASE if HEIGHT[room] == 0 else room


def _height(room: str) -> int:
    return 0 if room == BASE else HEIGHT[room]


def make_table(imports: dict[str, list[str]]) -> str:
    """Return the table of rooms in Markdown."""
    lines = ["| room | contents | imports (beyond those implied) |", "|---|---|---|"]
    for room, others in imports.items():
        lines.append(f"| `{room}` | {CONTENTS[room]} | {', '.join(others)} |")
    return "\n".join(lines)


def draw(imports: dict[str, list[str]]) -> str:
    """Return the drawing as SVG: rooms from top to bottom, arcs from each room to the rooms that it imports."""
    rows = {room: 16 + ROW * index for index, room in enumerate(imports)}
    colors = {room: color for color, rooms in BANDS.items() for room in rooms}
    height = 16 + ROW * len(rows)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif">',
        "<title>Rooms of Attacca and their imports</title>",
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
    ]
    for room, others in imports.items():
        for index, other in enumerate(others):
            start = rows[room] + BOX_HEIGHT / 2 + 4 + 2 * min(index, 5)
            end = rows[other] + BOX_HEIGHT / 2 - 4
            reach = BOX_RIGHT + 28 + 11 * (rows[other] - rows[room]) / ROW
            lines.append(
                f'<path d="M{BOX_RIGHT} {start:g} C{reach:g} {start:g} {reach:g} {end:g} {BOX_RIGHT + 7} {end:g}" '
                f'fill="none" stroke="{colors[room]}" stroke-width="1.6" opacity="0.75"/>'
            )
            lines.append(f'<path d="M{BOX_RIGHT} {end:g} l9 -4 v8 z" fill="{colors[room]}"/>')
    for room, top in rows.items():
        color = colors[room]
        lines += [
            f'<rect x="{BOX_LEFT}" y="{top}" width="{BOX_RIGHT - BOX_LEFT}" height="{BOX_HEIGHT}" rx="5" '
            f'fill="{color}" fill-opacity="0.1" stroke="{color}"/>',
            f'<text x="{BOX_LEFT + 12}" y="{top + 21}" font-size="15" font-weight="bold" fill="{color}">{room}</text>',
            *draw_contents(CONTENTS[room], top),
        ]
    return "\n".join([*lines, "</svg>", ""])


def draw_contents(contents: str, top: int) -> list[str]:
    """Return the text of a box, in two smaller lines if it is too long for one.

    >>> [line.count("<text") for line in draw_contents("short", 0)]
    [1]
    """
    lines, size, first = [contents], 12.5, top + 21
    if len(contents) > LONGEST_LINE:
        lines, size, first = textwrap.wrap(contents, LONGEST_SMALL_LINE), 11.0, top + 14
    return [
        f'<text x="{TEXT_LEFT}" y="{first + 13 * number}" font-size="{size:g}" fill="#333333">{escape(line)}</text>'
        for number, line in enumerate(lines)
    ]


def replace_table(page: str, table: str) -> str:
    """Return the page with another table between the two markers."""
    before, rest = page.split(START)
    _, after = rest.split(END)
    return f"{before}{START}\n{table}\n{END}{after}"


if __name__ == "__main__":
    rooms = find_imports()
    DRAWING.write_text(draw(rooms))
    PAGE.write_text(replace_table(PAGE.read_text(), make_table(rooms)))
