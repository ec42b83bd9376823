"""Numbers on the command line: what no machine has is refused before anything is read."""

import argparse
import math


def count(text: str) -> int:
    """A whole number of 1 or more."""
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"found '{text}', expected a whole number of 1 or more")
    return number


def cores(text: str) -> str:
    """What snakemake takes for ``--cores``: a number of 1 or more, or ``all``."""
    return text if text == "all" else str(count(text))


def amount(text: str) -> float:
    """A finite number above 0."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"found '{text}', expected a number above 0")
    return number


def port(text: str) -> int:
    """A port of a machine."""
    number = int(text) if text.isdecimal() else 0
    if not 1 <= number <= 65535:
        raise argparse.ArgumentTypeError(f"found '{text}', expected a whole number from 1 to 65535")
    return number
