"""Locks between processes, held by an open file: a killed process leaves none behind."""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from attacca.errors import ResourceError

# File systems without locks (some network mounts) answer with these; the workflow's own lock must then do.
_UNSUPPORTED = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL}


@contextmanager
def locked(path: Path, wait: bool = True, what: str = "") -> Iterator[None]:
    """Hold an exclusive lock on ``path``, a file that is made if need be and stays.

    Args:
        path: file that stands for what is locked.
        wait: wait for another process that holds it, or refuse.
        what: what is locked, for the message.

    Raises:
        ResourceError: another process holds it, and ``wait`` is false.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except OSError as error:
            if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
                raise ResourceError(
                    f"another job that is still running computes {what or path}; wait for it or end it first"
                ) from error
            if error.errno not in _UNSUPPORTED:
                raise
        yield
    finally:
        os.close(handle)
