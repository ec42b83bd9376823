"""The compilation of kernels is announced once, and only if it happens."""

import os
import subprocess
import sys
from pathlib import Path

_SCRIPT = """
from numba import njit
from attacca.kernel_compilation import announce_compilation

@njit(cache=True)
def add(a, b):
    return a + b

for _ in range(2):
    announce_compilation("tune default")
add(1, 2)
add(1.0, 2.0)
"""


def test_a_compilation_is_announced_in_one_line_and_loaded_kernels_are_not(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(_SCRIPT)
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    lines = []
    for _ in range(2):
        job = subprocess.run(
            [sys.executable, script], env=environment, capture_output=True, text=True, check=True
        )
        lines.append(job.stderr.splitlines())
    assert len(lines[0]) == 1
    assert lines[0][0].startswith("tune default: compiling kernels with numba")
    assert "once per machine" in lines[0][0]
    assert lines[1] == []
