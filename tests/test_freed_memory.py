"""A process that requests it keeps freed memory."""

import subprocess
import sys

import pytest

SCRIPT = """
import resource
import sys
import numpy as np
from attacca.freed_memory import keep_freed_memory

if sys.argv[1] == "keep":
    assert keep_freed_memory()
before = 0
for turn in range(12):
    # Below the size from which NumPy asks for huge pages.
    arrays = [np.empty(3 * 2**20, np.uint8) for _ in range(20)]
    for array in arrays:
        array.fill(1)
    del array, arrays
    if turn == 1:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc knows these options")
def test_arrays_of_the_same_sizes_again_and_again_need_their_pages_once():
    faults = {
        how: int(
            subprocess.run(
                [sys.executable, "-c", SCRIPT, how], capture_output=True, text=True, check=True
            ).stdout
        )
        for how in ("keep", "give back")
    }
    # 600 MB in pages of 4 KB are 153600 faults, if each is cleared again.
    assert faults["keep"] < 5000
    assert faults["give back"] > 5 * faults["keep"]
