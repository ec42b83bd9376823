"""Environment of a job on the cluster: machine, Python, files, GPUs. ``attacca check --cluster`` submits the module.

The module imports the standard library alone before it imports Attacca, so that it can report that this fails.
"""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any


def look_around(paths: list[str]) -> dict[str, Any]:
    """Return what this process sees.

    Args:
        paths: files and directories that jobs read.

    Returns:
        The host, the interpreter, the error of the import of Attacca (empty without one), the missing paths, the
        directory for temporary files and whether it can be written to, and the names of the GPUs.
    """
    try:
        import torch  # deferred: a missing package is reported, not raised  # noqa: F401

        import attacca  # deferred: likewise  # noqa: F401

        error = ""
    except Exception as problem:
        error = f"{type(problem).__name__}: {problem}"
    temporary = os.environ.get("TMPDIR", "/tmp")
    return {
        "host": socket.gethostname(),
        "python": sys.executable,
        "version": sys.version.split()[0],
        "error": error,
        "missing": [path for path in paths if not os.path.exists(path)],
        "temporary": temporary,
        "temporary is writable": os.access(temporary, os.W_OK),
        "gpus": _list_gpus(),
    }


def _list_gpus() -> list[str]:
    try:
        lines = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    return lines.stdout.splitlines()


if __name__ == "__main__":
    output, *seen = sys.argv[1:]
    part = Path(f"{output}.part")
    part.write_text(json.dumps(look_around(seen)))
    part.rename(output)
