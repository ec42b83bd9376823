"""Paths that the workflow cannot use are refused before it starts."""

from pathlib import Path

import pytest
from yaml import safe_dump

from attacca.config.load import load_configuration
from attacca.errors import ConfigurationError
from attacca.preflight.check_configuration import check_configuration
from attacca.preflight.check_paths import check_paths, describe_unsupported_characters
from tiny_configuration import tiny_configuration


@pytest.mark.parametrize(
    "name",
    [
        "my data",
        "O'Brien",
        "R&D",
        "a$HOME",
        "cube[1-8]",
        "50 %41",
        "*;$(touch x)`y`",
        '"\\b',
        "~ü#",
        "a <b c>",
    ],
)
def test_names_that_a_shell_would_change_are_accepted(name: str) -> None:
    assert describe_unsupported_characters(f"/data/{name}/results") == ""


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("cube{1}", "wildcards"),
        ("res{run}", "wildcards"),
        ("a}", "wildcards"),
        ("<results>", "variable"),
        ("new\nline", "control character"),
        ("a\0b", "control character"),
        ("latin\udcfc", "not UTF-8"),
        ("r" * 300, "255 bytes"),
    ],
)
def test_a_path_that_snakemake_would_misread_is_refused_with_one_message(
    name: str, reason: str, tmp_path: Path
) -> None:
    configuration = load_configuration(write(tmp_path))
    odd = configuration.model_copy(update={"results": tmp_path / name / "results"})
    with pytest.raises(ConfigurationError) as caught:
        check_configuration(odd, tmp_path / "config.yaml")
    message = str(caught.value)
    assert "has 1 problem;" in message and reason in message and "set 'results' to another" in message
    (problem,) = check_paths(configuration, tmp_path / name)
    assert "the working directory" in problem.message and problem.hint == "rename the directory"


def write(directory: Path) -> Path:
    path = directory / "config.yaml"
    path.write_text(safe_dump(tiny_configuration()))
    return path
