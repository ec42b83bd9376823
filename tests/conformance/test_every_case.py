"""Every golden case has its test, and every departure its row."""

import ast
import re
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent


def cases_with_tests() -> dict[str, list[str]]:
    """Case name -> test functions marked with it, read from the sources beside this file."""
    found: dict[str, list[str]] = {}
    for path in sorted(HERE.glob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                for mark in node.decorator_list:
                    if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.golden_case":
                        found.setdefault(ast.literal_eval(mark.args[0]), []).append(
                            f"{path.name}::{node.name}"
                        )
    return found


def test_every_golden_case_has_one_test(manifest: dict[str, dict[str, Any]]) -> None:
    tests = cases_with_tests()
    assert sorted(set(manifest) - set(tests)) == []
    assert {name: found for name, found in tests.items() if len(found) > 1} == {}


def test_every_row_that_a_departure_may_name_is_in_the_list(pytestconfig: pytest.Config) -> None:
    conftest = next(p for p in pytestconfig.pluginmanager.get_plugins() if hasattr(p, "ROWS"))
    path = conftest.GOLDEN.parent / "decisions.md"
    if not path.exists():
        pytest.skip(f"no list of departures at {path}")
    rows = [line.split("|")[1] for line in path.read_text().splitlines() if line.startswith("|")]
    text = " ".join(rows).replace("`", "")
    defects = set(re.findall(r"B\d+", text))
    for row in conftest.ROWS:
        if not re.fullmatch(r"B\d+", row):
            assert row.lower() in text.lower(), row
    assert defects <= conftest.ROWS
