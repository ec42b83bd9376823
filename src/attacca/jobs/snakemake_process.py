"""The Snakemake process of a workflow: its jobs end with it, and the locks of a killed one do not outlive it.

Snakemake locks its working directory by files that list what it reads and writes. When it is killed they stay, and
every later start refuses to go on until somebody says ``--unlock``. Beside them, each workflow of Attacca holds a
lock of the kernel, which ends with its process: who finds it free knows that the files were left behind.

Jobs of a killed Snakemake would go on, and meet the same jobs started anew. They watch for its end.
"""

import fcntl
import os
import signal
import socket
import threading
import time
from itertools import pairwise
from pathlib import Path

import psutil

from attacca.fingerprint import digest

PROCESS_VARIABLE = "ATTACCA_SNAKEMAKE_PROCESS"
"""Environment variable with the number of the Snakemake process that starts the jobs."""

# Seconds between two looks at whether Snakemake is still there; its own start takes longer.
_INTERVAL = 0.5
# Open files whose locks this process holds until it ends.
_held: list[int] = []


def end_with_snakemake() -> None:
    """Have this job end when the Snakemake process that started it ends, however that ends.

    A stage that somebody started by hand, outside of any workflow, is left alone.
    """
    number = os.environ.get(PROCESS_VARIABLE, "")
    if not number.isdigit() or int(number) == os.getpid():
        return
    try:
        this = psutil.Process()
        lineage = [this, *this.parents()]
    except psutil.NoSuchProcess:
        lineage = []
    below = next((low for low, high in pairwise(lineage) if high.pid == int(number)), None)
    if below is not None:
        threading.Thread(target=_watch, args=(below, int(number)), daemon=True).start()
    elif not psutil.pid_exists(int(number)):
        # It was killed while this job started.
        os.kill(os.getpid(), signal.SIGKILL)


def release_stale_lock(results: Path, last_host: str, snakemake: Path = Path(".snakemake")) -> None:
    """Remove the lock files of a Snakemake that was killed while it worked on ``results``, and hold a lock of one's own.

    Nothing is removed while another workflow works there, where the last one ran on another machine, or where the
    file system knows no locks between processes: Snakemake then decides, and ``--unlock`` is for the user to say.

    Args:
        results: directory of results.
        last_host: name of the machine on which the last workflow was started there.
        snakemake: where Snakemake keeps its files.
    """
    snakemake.mkdir(exist_ok=True)
    handle = os.open(
        snakemake / f"attacca-{digest(str(results))[:16]}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666
    )
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pass
        else:
            if last_host == socket.gethostname():
                _remove_lock_files(results, snakemake / "locks")
        # Others that start meanwhile see that somebody is here.
        fcntl.flock(handle, fcntl.LOCK_SH)
    except OSError:
        os.close(handle)
    else:
        _held.append(handle)


def _watch(below: psutil.Process, snakemake: int) -> None:
    # A process whose parent dies gets another parent at once, whatever becomes of the dead.
    try:
        while below.ppid() == snakemake:
            time.sleep(_INTERVAL)
    except psutil.NoSuchProcess:
        pass
    os.kill(os.getpid(), signal.SIGKILL)


def _remove_lock_files(results: Path, directory: Path) -> None:
    for path in directory.glob("*.lock"):
        names = path.read_text().splitlines()
        if any(Path(name).is_relative_to(results) for name in names):
            path.unlink()
