"""The compilation of kernels is announced once, and only if it happens and takes a while."""

import os
import subprocess
import sys
from pathlib import Path

_SCRIPT = """
import sys
from numba import njit
from attacca.kernel_compilation import announce_compilation

@njit(cache=True)
def add(a, b):
    return a + b

for _ in range(2):
    announce_compilation("tune default", float(sys.argv[1]))
add(1, 2)
add(1.0, 2.0)
"""


def test_a_long_compilation_is_announced_in_one_line_and_a_short_one_or_loaded_kernels_are_not(
    tmp_path: Path,
) -> None:
    script = tmp_path / "script.py"
    script.write_text(_SCRIPT)
    lines = []
    for patience in ("1000", "0", "0"):
        directory = tmp_path / ("slow" if patience == "0" else "quick")
        environment = {**os.environ, "NUMBA_CACHE_DIR": str(directory)}
        job = subprocess.run(
            [sys.executable, script, patience], env=environment, capture_output=True, text=True, check=True
        )
        lines.append(job.stderr.splitlines())
    assert lines[0] == []
    assert len(lines[1]) == 1
    assert lines[1][0].startswith("tune default: compiling kernels with numba")
    assert "once per machine" in lines[1][0]
    assert lines[2] == []
