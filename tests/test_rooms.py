"""The page about the architecture agrees with the source: rooms, imports, and the functions that it names."""

import ast
import re
import runpy
from pathlib import Path

import pytest

ROOMS = runpy.run_path(str(Path(__file__).parents[1] / "docs" / "draw_rooms.py"))
SOURCE = Path(__file__).parents[1] / "src" / "attacca"
FIX = "run: python docs/draw_rooms.py"


def test_the_table_of_rooms_is_up_to_date():
    page = ROOMS["PAGE"].read_text()
    assert ROOMS["replace_table"](page, ROOMS["make_table"](ROOMS["find_imports"]())) == page, FIX


def test_the_drawing_of_rooms_is_up_to_date():
    assert ROOMS["DRAWING"].read_text() == ROOMS["draw"](ROOMS["find_imports"]()), FIX


def test_every_room_has_a_color_and_a_description():
    rooms = set(ROOMS["list_rooms"]())
    assert set(ROOMS["CONTENTS"]) == rooms
    assert {room for group in ROOMS["BANDS"].values() for room in group} == rooms


def test_the_texts_of_the_drawing_of_rooms_fit_in_their_boxes():
    texts = re.findall(
        r'<text x="(\d+)" y="\d+" font-size="([\d.]+)"[^>]*>([^<]*)<', ROOMS["DRAWING"].read_text()
    )
    assert len(texts) > 2 * len(ROOMS["list_rooms"]())
    for left, size, text in texts:
        # The mean width of a character of common sans-serif fonts is half of their height.
        assert int(left) + 0.5 * float(size) * len(text) < ROOMS["BOX_RIGHT"], text


def named_functions() -> list[tuple[str, str]]:
    """Return the files and functions in the tables of the page that follow a volume and a block."""
    pairs = []
    for line in ROOMS["PAGE"].read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if line.startswith("|") and len(cells) == 3 and ".py`" in cells[1]:
            files = " ".join(re.findall(r"`([\w/]+\.py)`", cells[1]))
            pairs += [(files, name) for name in re.findall(r"`(\w+)`", cells[2])]
    return pairs


@pytest.mark.parametrize(("files", "name"), named_functions())
def test_functions_on_the_page_about_the_architecture_exist(files, name):
    text = "\n".join((SOURCE / file).read_text() for file in files.split())
    assert re.search(rf"^ *(?:def|class) {name}\b", text, re.MULTILINE), (
        f"docs/architecture.md: found no {name} in {files}"
    )


def find_uses() -> dict[str, list[tuple[Path, int]]]:
    """Return the files and lines in which each name is used, without imports and definitions."""
    uses: dict[str, list[tuple[Path, int]]] = {}
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Name | ast.Attribute):
                name = node.id if isinstance(node, ast.Name) else node.attr
                uses.setdefault(name, []).append((path, node.lineno))
    for path in (SOURCE.parents[1] / "rules").glob("*.smk"):
        for number, line in enumerate(path.read_text().splitlines(), 1):
            for name in re.findall(r"\b(\w+)\(", line):
                uses.setdefault(name, []).append((path, number))
    return uses


@pytest.fixture(scope="module")
def uses() -> dict[str, list[tuple[Path, int]]]:
    return find_uses()


@pytest.mark.parametrize(("files", "name"), named_functions())
def test_functions_on_the_page_about_the_architecture_are_called(files, name, uses):
    own = {
        (SOURCE / file, line)
        for file in files.split()
        for node in ast.walk(ast.parse((SOURCE / file).read_text()))
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == name
        for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }
    assert set(uses.get(name, [])) - own, f"docs/architecture.md: {name} in {files} is never used"
