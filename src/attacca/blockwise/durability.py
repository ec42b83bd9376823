"""Which recorded blocks outlive a power cut.

Data and records wait in memory before the system writes them to the disk, in any order: a power cut may leave a record
without its data. While a job records blocks, it has the file system write all that waits, from time to time and at the
end, and then notes beside the ledger's file how long that file was. When the machine has been started anew since, what
was recorded after the note does not count. A killed process loses nothing of what waits, and no record.
"""

import ctypes
import json
import os
import socket
import threading
import time
from pathlib import Path

from attacca.atomic import write_text
from attacca.fingerprint import canonical_json

# Seconds of work that a power cut may cost.
_INTERVAL = 30.0
_BOOT = Path("/proc/sys/kernel/random/boot_id")


def note_of(path: Path) -> Path:
    """Where it is noted how much of a ledger's file is on the disk with all its data."""
    return path.with_suffix(".on-disk.json")


def read_lasting_bytes(path: Path) -> int | None:
    """How much of a ledger's file counts: all of it (None) unless its machine was started anew since it was written."""
    try:
        note = json.loads(note_of(path).read_text())
        restarted = note["host"] == socket.gethostname() and note["boot"] != _boot()
        return int(note["bytes"]) if restarted else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


class DiskNote:
    """Has the file system write what waits, and notes how long a ledger's file was before.

    Args:
        path: the ledger's file, on the file system of its array.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._thread: threading.Thread | None = None
        self._update(path.stat().st_size)

    def grown(self) -> None:
        """The file has grown; now and then, all is written to the disk while the job goes on."""
        if time.monotonic() - self._last > _INTERVAL and (
            self._thread is None or not self._thread.is_alive()
        ):
            size = self._path.stat().st_size
            self._thread = threading.Thread(target=self._update, args=(size,), daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Write all to the disk and note it."""
        if self._thread is not None:
            self._thread.join()
        self._update(self._path.stat().st_size)

    def _update(self, size: int) -> None:
        self._last = time.monotonic()
        try:
            _write_waiting_data(self._path)
            note = {"host": socket.gethostname(), "boot": _boot(), "bytes": size}
            write_text(note_of(self._path), canonical_json(note) + "\n")
        except OSError:
            # Without space for the note, the last one stands: a power cut then costs more.
            return


def _write_waiting_data(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        ctypes.CDLL(None, use_errno=True).syncfs(handle)
    except AttributeError:
        os.sync()
    finally:
        os.close(handle)


def _boot() -> str:
    try:
        return _BOOT.read_text().strip()
    except OSError:
        return ""
