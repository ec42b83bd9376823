"""Function that runs Snakemake as a subprocess, for commands such as ``attacca reproduce``."""

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from attacca.errors import MissingInputError

SNAKEFILE = Path(__file__).resolve().parents[3] / "Snakefile"


def run_snakemake(
    configuration: Path,
    directory: Path,
    options: Iterable[str],
    targets: Iterable[str | Path],
    capture_output: bool = False,
) -> subprocess.CompletedProcess[str]:
    """Run the workflow and return when it has ended, whether or not it has succeeded.

    Args:
        configuration: file of the configuration.
        directory: working directory of the workflow.
        options: further options of Snakemake.
        targets: rules or files to make.
        capture_output: keep the output in the returned object instead of printing it.

    Raises:
        MissingInputError: Attacca is not run from a checkout, so its rules are missing.
    """
    if not SNAKEFILE.exists():
        raise MissingInputError(
            f"{SNAKEFILE} is missing: the installed package has no rules. Clone the repository of Attacca and "
            "install it from there with pip install -e ."
        )
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(SNAKEFILE)]
    command += ["--configfile", str(configuration), "--directory", str(directory), *options]
    return subprocess.run([*command, "--", *map(str, targets)], capture_output=capture_output, text=True)
