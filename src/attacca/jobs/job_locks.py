"""Locks of the jobs that run on this machine, with their progress.

Each job holds a kernel lock on a small file beside its log, and Snakemake holds one on a file in the directory of
results. The kernel releases a lock when its process ends, in whatever way it ends: a file without a lock belongs to a
job that does not run. The file also holds the progress of the job, for stages without a ledger.
"""

import errno
import fcntl
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from attacca.errors import ResourceError
from attacca.layout import Layout
from attacca.manifest import read_values
from attacca.progress import Progress, watch_progress


def job_file(log: Path) -> Path:
    """Return the path of the file that a job locks.

    Args:
        log: log file of the job.
    """
    return log.with_name(f".{log.stem}.job.json")


@contextmanager
def hold_job_lock(log: Path | None) -> Iterator[None]:
    """Lock the file of a job while the context lasts, and write the progress of the job to it.

    Args:
        log: log file of the job; without it, nothing is locked.

    A job never fails or waits because of its lock: if the file system does not support locks, or another process runs
    the same job, the job runs without one.
    """
    handle = None if log is None else try_lock(job_file(log), fcntl.LOCK_EX)
    if log is None or handle is None:
        yield
        return
    try:
        _write(handle, {})
        with watch_progress(lambda progress: _write(handle, _progress_values(progress))):
            yield
    finally:
        with suppress(OSError):
            job_file(log).unlink()
        os.close(handle)


def hold_workflow_lock(results: Path) -> int | None:
    """Lock the directory of results for this workflow; it is created if it does not exist.

    Returns:
        The open file, whose end releases the lock; None if the file system does not support locks.

    Raises:
        ResourceError: another workflow writes into the directory.
    """
    results.mkdir(parents=True, exist_ok=True)
    handle = try_lock(Layout(results).workflow_lock(), fcntl.LOCK_EX)
    if handle is not None:
        _write(handle, {})
        return handle
    other = describe_running_workflow(results)
    if other:
        raise ResourceError(other)
    return None


def describe_running_workflow(results: Path) -> str:
    """Return which workflow holds the lock of a directory of results, and what to do; empty if none does."""
    path = Layout(results).workflow_lock()
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
            return ""
        owner = read_values(path) or {}
        process = f"process {owner.get('process', 'unknown')} on {owner.get('host', 'unknown')}"
        return (
            f"another workflow writes into {results} ({process}), and two would disturb each other. Wait until it ends "
            f"(`attacca status {results}` shows its progress), or stop it, then start this one again"
        )
    finally:
        os.close(handle)
    return ""


def try_lock(path: Path, kind: int) -> int | None:
    """Open a file and lock it without waiting.

    Args:
        path: file, which is created if it does not exist.
        kind: ``fcntl.LOCK_EX`` or ``fcntl.LOCK_SH``.

    Returns:
        The open file, whose end releases the lock; None if it cannot be opened or locked.
    """
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError:
        return None
    try:
        fcntl.flock(handle, kind | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        return None
    return handle


def locked_inodes() -> set[int]:
    """Return the inodes on which processes of this machine hold a lock.

    The kernel's table is read, because a lock that is taken as a test could make a job that starts run without its own.
    """
    try:
        lines = Path("/proc/locks").read_text().splitlines()
    except OSError:
        return set()
    # Lines with an arrow list processes that wait for a lock.
    words = [line.split() for line in lines if " FLOCK " in line and "->" not in line]
    return {int(word[5].rsplit(":", 1)[1]) for word in words if len(word) > 5}


def _progress_values(progress: Progress) -> dict[str, Any]:
    return {"done": progress.done, "total": progress.total, "seconds_left": progress.seconds_left()}


def _write(handle: int, values: dict[str, Any]) -> None:
    text = json.dumps({"host": socket.gethostname(), "process": os.getpid(), **values}).encode()
    # A full disk must not end a job that needs no more space.
    with suppress(OSError):
        os.pwrite(handle, text, 0)
        os.truncate(handle, len(text))
