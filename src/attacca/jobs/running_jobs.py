"""Which jobs of a workflow run on this machine, and how far they are.

Each job holds a lock of the kernel on a small file beside its log, and so does Snakemake on one in the directory of
results. Such a lock ends with its process, however that ends: who finds the file without one knows that nobody works
there. The file also tells how far the job is, for stages that no ledger tells of.
"""

import fcntl
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from attacca.progress import Progress, watch_progress


def job_file(log: Path) -> Path:
    """The file that stands for a running job."""
    return log.with_name(f".{log.stem}.job.json")


def workflow_file(results: Path) -> Path:
    """The file that stands for a Snakemake that works on results."""
    return results / ".workflow.lock"


@contextmanager
def job_runs(log: Path | None) -> Iterator[None]:
    """Show, while the context lasts, that this process does the job of a log; nothing is shown without a log.

    A job never fails or waits because of this: where the file system knows no locks, or another process does the same
    job, it is done unseen.
    """
    handle = None if log is None else _lock(job_file(log), fcntl.LOCK_EX)
    if log is None or handle is None:
        yield
        return
    try:
        _write(handle, {})
        with watch_progress(lambda progress: _write(handle, _values(progress))):
            yield
    finally:
        with suppress(OSError):
            job_file(log).unlink()
        os.close(handle)


def workflow_runs(results: Path) -> int | None:
    """Show that this process runs the workflow, until it ends or the returned file is closed."""
    return _lock(workflow_file(results), fcntl.LOCK_SH)


def locked_inodes() -> set[int]:
    """Inodes on which processes of this machine hold a lock; trying it would disturb a job that starts."""
    try:
        lines = Path("/proc/locks").read_text().splitlines()
    except OSError:
        return set()
    # After an arrow stand processes that wait for a lock.
    words = [line.split() for line in lines if " FLOCK " in line and "->" not in line]
    return {int(word[5].rsplit(":", 1)[1]) for word in words if len(word) > 5}


def _lock(path: Path, kind: int) -> int | None:
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


def _values(progress: Progress) -> dict[str, Any]:
    return {"done": progress.done, "total": progress.total, "seconds_left": progress.seconds_left()}


def _write(handle: int, values: dict[str, Any]) -> None:
    text = json.dumps({"host": socket.gethostname(), "process": os.getpid(), **values}).encode()
    # A full disk is no reason to end a job that needs no more of it.
    with suppress(OSError):
        os.pwrite(handle, text, 0)
        os.truncate(handle, len(text))
