"""``import attacca``: names that an IDE, mypy and Python agree upon, loaded when they are used."""

import ast
import tomllib
from pathlib import Path

import pytest
import yaml

import attacca

ROOT = Path(__file__).parents[1]


def names_for_type_checkers() -> set[str]:
    tree = ast.parse(Path(attacca.__file__).read_text())
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    return {alias.asname or alias.name for node in block.body for alias in node.names}


def test_type_checkers_see_the_names_that_exist():
    assert names_for_type_checkers() == set(attacca.__all__) <= set(dir(attacca))


@pytest.mark.parametrize("name", attacca.__all__)
def test_a_name_is_documented(name):
    assert getattr(attacca, name).__doc__


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        attacca.trian  # noqa: B018


def test_the_version_is_stored_in_one_file():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["project"]["dynamic"] == ["version"]
    assert project["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "attacca.version.__version__"}
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert str(citation["version"]) == attacca.__version__
    changelog = (ROOT / "CHANGELOG.md").read_text()
    assert "## [Unreleased]" in changelog or f"## [{attacca.__version__}]" in changelog
