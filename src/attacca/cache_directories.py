"""Directories for the caches of Numba and Matplotlib, where neither the installation nor the home can be written.

In a container, or for a service account, both may be read-only. Numba then refuses to import a module with cached
functions. Its files are executable code, so that a directory that another user can write must not be used.
"""

import os
import stat
import tempfile
from pathlib import Path

_VARIABLES = {"NUMBA_CACHE_DIR": "numba", "MPLCONFIGDIR": "matplotlib"}


def choose_cache_directories() -> None:
    """Set ``NUMBA_CACHE_DIR`` and ``MPLCONFIGDIR`` to a private temporary directory if their defaults are read-only.

    Variables that are set already are kept. Jobs inherit the choice through their environment.
    """
    missing = [variable for variable in _VARIABLES if not os.environ.get(variable)]
    if not missing or _can_write(_find_user_cache()):
        return
    if missing == ["NUMBA_CACHE_DIR"] and _can_write(Path(__file__).parent):
        return
    directory = make_private_directory(Path(tempfile.gettempdir()) / f"attacca-cache-{os.getuid()}")
    for variable in missing:
        os.environ[variable] = str(directory / _VARIABLES[variable])


def make_private_directory(path: Path) -> Path:
    """Return ``path`` as a directory that only this user can write, or a new one if another user has created it."""
    try:
        path.mkdir(mode=0o700, exist_ok=True)
        state = path.lstat()
    except OSError:
        return Path(tempfile.mkdtemp(prefix="attacca-cache-"))
    is_private = stat.S_ISDIR(state.st_mode) and state.st_uid == os.getuid() and not state.st_mode & 0o022
    return path if is_private else Path(tempfile.mkdtemp(prefix="attacca-cache-"))


def _find_user_cache() -> Path:
    home = os.path.expanduser("~")
    return Path(os.environ.get("XDG_CACHE_HOME") or os.path.join(home, ".cache"))


def _can_write(directory: Path) -> bool:
    """Return whether a directory can be written, or created below its nearest existing parent."""
    existing = next((path for path in (directory, *directory.parents) if path.exists()), None)
    if existing is None:
        return False
    try:
        # Permissions alone do not show whether a file system is read-only.
        with tempfile.TemporaryFile(dir=existing):
            return True
    except OSError:
        return False
