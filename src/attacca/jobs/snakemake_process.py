"""Supervision of the Snakemake process by its jobs, and release of the locks of a killed Snakemake.

Snakemake locks its working directory by files that list what it reads and writes. The files of a killed Snakemake stay,
and every later start fails until the user runs ``--unlock``. Beside them, each workflow of Attacca holds a kernel lock,
which ends with its process: if that lock is free, the files are stale.

Jobs of a killed Snakemake would continue, and compute the same blocks as those of the next start. So they watch for
the end of Snakemake.
"""

import fcntl
import os
import signal
import socket
import tempfile
import threading
import time
from itertools import pairwise
from pathlib import Path

import psutil

from attacca.errors import ConfigurationError
from attacca.fingerprint import digest
from attacca.jobs.job_locks import try_lock

PROCESS_VARIABLE = "ATTACCA_SNAKEMAKE_PROCESS"
"""Environment variable with the process id of the Snakemake that starts the jobs."""

# Interval in seconds at which a job checks its Snakemake process; the start of Snakemake takes longer.
_INTERVAL = 0.5
# Open files whose locks this process holds until it ends.
_held: list[int] = []


def end_with_snakemake() -> None:
    """Kill this job when the Snakemake process that started it exits or is killed.

    A stage that was started without Snakemake is not affected.
    """
    number = os.environ.get(PROCESS_VARIABLE, "")
    if not number.isdigit() or int(number) == os.getpid():
        return
    try:
        this = psutil.Process()
        lineage = [this, *this.parents()]
    except psutil.NoSuchProcess:
        lineage = []
    child = next((low for low, high in pairwise(lineage) if high.pid == int(number)), None)
    if child is not None:
        threading.Thread(target=_watch, args=(child, int(number)), daemon=True).start()
    elif not psutil.pid_exists(int(number)):
        # Snakemake was killed while this job started.
        os.kill(os.getpid(), signal.SIGKILL)


def release_stale_lock(results: Path, last_host: str, snakemake: Path = Path(".snakemake")) -> None:
    """Remove the lock files of a killed Snakemake for ``results``, and hold a kernel lock.

    Nothing is removed while another workflow uses ``results``, if the last workflow ran on another machine, or if the
    file system does not support locks. Snakemake then reports the lock, and the user can run ``--unlock``.

    Args:
        results: directory of results.
        last_host: name of the machine on which the last workflow was started there.
        snakemake: directory of Snakemake's files.

    Raises:
        ConfigurationError: no file can be created in the directory of Snakemake's files.
    """
    try:
        snakemake.mkdir(exist_ok=True)
        with tempfile.TemporaryFile(dir=snakemake):
            pass
    except OSError as error:
        raise ConfigurationError(
            f"no file can be created in {snakemake.absolute()} ({error.strerror}), where Snakemake keeps its records. "
            "Start the workflow in a directory in which you may create files, or name one with --directory"
        ) from None
    path = snakemake / f"attacca-{digest(str(results))[:16]}.lock"
    handle = try_lock(path, fcntl.LOCK_EX)
    if handle is None:
        handle = try_lock(path, fcntl.LOCK_SH)
    elif last_host == socket.gethostname():
        _remove_try_locks(results, snakemake / "locks")
    if handle is not None:
        # Later starts must not remove the lock files of this workflow.
        fcntl.flock(handle, fcntl.LOCK_SH)
        _held.append(handle)


def _watch(child: psutil.Process, snakemake: int) -> None:
    # A process whose parent dies gets another parent at once, even if the parent remains as a zombie.
    try:
        while child.ppid() == snakemake:
            time.sleep(_INTERVAL)
    except psutil.NoSuchProcess:
        pass
    os.kill(os.getpid(), signal.SIGKILL)


def _remove_try_locks(results: Path, directory: Path) -> None:
    for path in directory.glob("*.lock"):
        names = path.read_text().splitlines()
        if any(Path(name).is_relative_to(results) for name in names):
            path.unlink()
