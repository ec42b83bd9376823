"""Paths that the workflow cannot use, because Snakemake or the file system cannot."""

import os
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path

from attacca.arrays.identifier import is_url
from attacca.config.problems import Problem
from attacca.config.run import Configuration

_PATH_VARIABLE = re.compile(r"<[a-z][a-z0-9_]*>")
_LONGEST_NAME = 255
_CHECKOUT = Path(__file__).resolve().parents[3]


def check_paths(configuration: Configuration, working_directory: Path | None = None) -> Iterator[Problem]:
    """Yield a problem for the first path that Snakemake would misread.

    Snakemake puts the directory of results, its working directory and the path of the Snakefile into patterns, in
    which braces mark wildcards and angle brackets mark variables.

    Args:
        configuration: the configuration; its results are checked first.
        working_directory: directory in which Snakemake runs; that of this process by default.
    """
    directories: list[tuple[str, str, Path]] = [
        ("results", "the directory of results", configuration.results)
    ]
    if configuration.storage and not is_url(configuration.storage):
        directories.append(("storage", "the directory of arrays", Path(configuration.storage)))
    directories.append(("", "the working directory", working_directory or Path.cwd()))
    directories.append(("", "the directory of Attacca", _CHECKOUT))
    for key, name, directory in directories:
        reason = describe_unsupported_characters(str(directory))
        if reason:
            yield Problem(
                (key,) if key else (),
                message=f"{name} is {ascii(str(directory))[1:-1]}: {reason}",
                hint="rename the directory" + (f", or set '{key}' to another one" if key else ""),
            )
            return


def describe_unsupported_characters(path: str) -> str:
    """Return the reason why the workflow cannot use a path; empty if it can.

    >>> describe_unsupported_characters("/data/R&D/it's 50 %/[1-8]")
    ''
    >>> describe_unsupported_characters("/data/cube{1}")
    'Snakemake takes braces for wildcards'
    """
    if "{" in path or "}" in path:
        return "Snakemake takes braces for wildcards"
    if variable := _PATH_VARIABLE.search(path):
        return f"Snakemake takes {variable[0]} for a variable"
    if any(unicodedata.category(character) == "Cc" for character in path):
        return "it contains a control character, such as a line break"
    if any(unicodedata.category(character) == "Cs" for character in path):
        return "it contains bytes that are not UTF-8"
    if any(len(os.fsencode(name)) > _LONGEST_NAME for name in path.split("/")):
        return f"file systems allow names of {_LONGEST_NAME} bytes"
    return ""
