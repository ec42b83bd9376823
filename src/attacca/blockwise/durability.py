"""Records of finished blocks that survive a power cut.

Data and records stay in memory until the system writes them to disk, in any order: a power cut may leave a record
without its data. While a job records blocks, it has the file system write all pending data, from time to time and at the
end, and then stores the length that the ledger's file had before in a note. If the machine was restarted since, records
after the note do not count. A killed process loses neither data nor records.
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

# Seconds of work that a power cut may void.
_INTERVAL = 30.0
_BOOT = Path("/proc/sys/kernel/random/boot_id")


def get_note_path(path: Path) -> Path:
    """Return the path of the note with the number of bytes of a ledger's file whose data are on disk."""
    return path.with_suffix(".on-disk.json")


def read_lasting_bytes(path: Path) -> int | None:
    """Return the number of valid bytes of a ledger's file; None (all) unless its machine was restarted since."""
    try:
        note = json.loads(get_note_path(path).read_text())
        restarted = note["host"] == socket.gethostname() and note["boot"] != _read_boot_id()
        return int(note["bytes"]) if restarted else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


class DiskNote:
    """Has the file system write pending data, and notes the length that a ledger's file had before.

    Args:
        path: file of a ledger, on the file system of its array.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._thread: threading.Thread | None = None
        self._write(path.stat().st_size)

    def update(self) -> None:
        """Write pending data in a thread, if the last time is long ago; called after the file has grown."""
        if time.monotonic() - self._last > _INTERVAL and (
            self._thread is None or not self._thread.is_alive()
        ):
            size = self._path.stat().st_size
            self._thread = threading.Thread(target=self._write, args=(size,), daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Write all pending data and update the note."""
        if self._thread is not None:
            self._thread.join()
        self._write(self._path.stat().st_size)

    def _write(self, size: int) -> None:
        self._last = time.monotonic()
        try:
            _write_pending_data(self._path)
            note = {"host": socket.gethostname(), "boot": _read_boot_id(), "bytes": size}
            write_text(get_note_path(self._path), canonical_json(note) + "\n")
        except OSError:
            # Without space for a new note, the old one stays valid: a power cut then voids more records.
            return


def _write_pending_data(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        ctypes.CDLL(None, use_errno=True).syncfs(handle)
    except AttributeError:
        os.sync()
    finally:
        os.close(handle)


def _read_boot_id() -> str:
    try:
        return _BOOT.read_text().strip()
    except OSError:
        return ""
