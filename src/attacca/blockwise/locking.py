"""Locks between processes; the lock of a killed process is released by the system."""

import errno
import fcntl
import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from attacca.errors import ResourceError

logger = logging.getLogger(__name__)

# Errors of file systems without locks (some network mounts), on which Snakemake's own lock must be sufficient.
_UNSUPPORTED = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL}


@contextmanager
def lock_file(path: Path, wait: bool = True, what: str = "") -> Iterator[None]:
    """Hold an exclusive lock on a file, which is created if necessary and not deleted.

    Args:
        path: the file; it contains the name of the last process that locked it.
        wait: wait for another process that holds the lock; if False, raise.
        what: the protected work, for messages.

    Raises:
        ResourceError: another process holds the lock, and ``wait`` is False.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        try:
            _lock(handle, path, wait, what)
        except OSError as error:
            if error.errno not in _UNSUPPORTED:
                raise
        if what:
            os.truncate(handle, 0)
            os.pwrite(handle, _describe_process().encode(), 0)
        yield
    finally:
        os.close(handle)


def _lock(handle: int, path: Path, wait: bool, what: str) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return
    except OSError as error:
        if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
            raise
        owner = os.pread(handle, 1000, 0).decode(errors="replace")
        holds = f"another job that is still running{f' ({owner})' if owner else ''} computes {what or path}"
        if not wait:
            raise ResourceError(f"{holds}; wait for it or end it first") from error
    if what:
        logger.warning("%s: waiting until it ends", holds)
    fcntl.flock(handle, fcntl.LOCK_EX)


def _describe_process() -> str:
    job = os.environ.get("SLURM_JOB_ID")
    process = f"process {os.getpid()} on {socket.gethostname()}"
    return f"SLURM job {job}, {process}" if job else process
