"""Loaded by each worker process of a job before anything else: it ends with the job, and alone listens to
it."""

import ctypes
import os
import signal
from typing import Any

PARENT_VARIABLE = "ATTACCA_PARENT"
"""Environment variable that holds the process number of the job."""

_PR_SET_PDEATHSIG = 1


def end_with_parent(parent: int) -> None:
    """Have the kernel end this process when its parent ends, however that ends."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def dask_setup(worker: Any) -> None:
    """Called by Dask in the worker's main thread."""
    end_with_parent(int(os.environ[PARENT_VARIABLE]))
    # Ctrl-C reaches the whole process group: the job decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # A time limit ends the process even while compiled code holds the interpreter.
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
