"""Arguments that several commands share, and types of numbers: impossible ones are refused before anything is read."""

import argparse
import math
from pathlib import Path


def add_extensions(parser: argparse.ArgumentParser) -> None:
    """Add the argument for the extensions that a model needs."""
    parser.add_argument(
        "--extension",
        action="append",
        default=[],
        type=Path,
        metavar="FILE",
        help="Python file of an extension that the model needs; can be given several times. Its code runs on this machine",
    )


def parse_count(text: str) -> int:
    """Return a whole number of 1 or more."""
    return _parse_whole(text, "of 1 or more")


def parse_cores(text: str) -> str:
    """Return a value of snakemake's ``--cores``: a whole number of 1 or more, or ``all``."""
    return text if text == "all" else str(parse_count(text))


def parse_voxel_size(text: str) -> tuple[float, ...]:
    """Return the edges of a voxel, or some of them.

    >>> parse_voxel_size("40,4,4"), parse_voxel_size("40x4x4"), parse_voxel_size("8")
    ((40.0, 4.0, 4.0), (40.0, 4.0, 4.0), (8.0,))
    """
    return tuple(parse_positive(value) for value in text.replace("x", ",").split(","))


def parse_port(text: str) -> int:
    """Return the number of a port."""
    return _parse_whole(text, "from 1 to 65535", 65535)


def parse_positive(text: str) -> float:
    """Return a finite number above 0."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"found '{text}', expected a number above 0")
    return number


def _parse_whole(text: str, expected: str, maximum: float = math.inf) -> int:
    try:
        number = int(text)
    except ValueError:
        number = 0
    if not 1 <= number <= maximum:
        raise argparse.ArgumentTypeError(f"found '{text}', expected a whole number {expected}")
    return number
