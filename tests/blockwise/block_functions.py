"""Block functions for tests with processes, and a job that runs one from the command line.

``python block_functions.py KIND DIRECTORY [WORKERS [TIMEOUT [SCHEDULER]]]`` computes blocks of the KIND on
an array in DIRECTORY, and ends with the exit code of the error, after its message.
"""

import ctypes
import os
import sys
import time
from pathlib import Path

import numpy as np
from funlib.geometry import Roi

from attacca.arrays import LocalArrayIdentifier, ZarrArray
from attacca.blockwise import BlockGrid, Ledger, run_blocks
from attacca.errors import AttaccaError

ROI = Roi((30, -20), (130, 94))
MISBEHAVING = 5


class WriteBlock:
    """Writes values that depend on the voxel's position alone, and records each computation and repetition."""

    def __init__(self, directory, kind):
        self.directory = Path(directory)
        self.kind = kind

    def open(self):
        self.array = ZarrArray.open_from_array_identifier(LocalArrayIdentifier(self.directory, "a"), mode="a")
        self.ledger = Ledger(self.array.directory, KEY, len(grid_of(self.array)))

    def __call__(self, block):
        if self.ledger.done()[block.index]:
            note(self.directory / "repeated", block.index)
        if block.index == MISBEHAVING or self.kind.startswith("all-"):
            misbehave(self.kind.removeprefix("all-"))
        time.sleep(0.05 if self.kind == "slow" else 0.005)
        roi = block.write_roi
        y, x = (np.arange(b, e, 2) for b, e in zip(roi.begin, roi.end))
        self.array[roi] = (y[:, None] * 1000 + x) % 65521
        note(self.directory / "computed", block.index)
        return int(block.index)


def misbehave(kind):
    """Fail in one of several ways.

    Args:
        kind: kind of failure, such as ``raises`` or ``hangs``.
    """
    if kind == "raises":
        raise ValueError("no membrane here")
    if kind == "hangs":
        time.sleep(1000)
    if kind == "hangs-in-c":
        # Holds the interpreter's lock, as badly behaved compiled code does.
        ctypes.PyDLL(None).sleep(1000)
    if kind == "dies":
        os.kill(os.getpid(), 9)
    if kind == "eats-memory":
        hoard = []
        while True:
            hoard.append(bytearray(20 << 20))


KEY = {"test": "blocks"}


def grid_of(array):
    """The grid of the test's array."""
    return BlockGrid.for_array(array, (16, 24))


def create(directory):
    """The array that is filled."""
    return ZarrArray.create_from_array_identifier(
        LocalArrayIdentifier(directory, "a"), ["y", "x"], ROI, None, (2, 2), np.uint16, write_size=(16, 24)
    )


def note(path, index):
    """Append a line, in one piece."""
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(handle, f"{index}\n".encode())
    os.close(handle)


def main(kind, directory, workers="2", timeout="0", scheduler=""):
    """Run one job; returns its exit code."""
    array = create(directory)
    grid = grid_of(array)
    try:
        run_blocks(
            WriteBlock(directory, kind),
            grid,
            ledger=Ledger(array.directory, KEY, len(grid)),
            num_workers=int(workers),
            retries=1,
            timeout=float(timeout) or None,
            scheduler_address=scheduler or None,
        )
    except AttaccaError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
