"""Caches of compiled functions are placed where they can be written, and where no other user can write."""

import os
import subprocess
import sys
from pathlib import Path

from attacca.cache_directories import make_private_directory

SOURCE = Path(__file__).parents[1] / "src"
SCRIPT = (
    "import os; from attacca.segmentation.union_find import join_pairs;"
    "print(join_pairs._cache.cache_path, os.environ['MPLCONFIGDIR'])"
)


def test_compiled_functions_run_without_a_home(tmp_path: Path) -> None:
    environment = {
        key: value for key, value in os.environ.items() if key not in ("NUMBA_CACHE_DIR", "MPLCONFIGDIR")
    }
    environment |= {"HOME": "/proc/nowhere", "XDG_CACHE_HOME": "/proc/nowhere", "TMPDIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env={**environment, "PYTHONPATH": str(SOURCE)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    numba, matplotlib = map(Path, done.stdout.split())
    directory = tmp_path / f"attacca-cache-{os.getuid()}"
    assert numba.is_relative_to(directory / "numba") and numba.is_dir()
    assert matplotlib == directory / "matplotlib"


def test_a_set_cache_directory_is_kept(tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "HOME": "/proc/nowhere",
        "NUMBA_CACHE_DIR": str(tmp_path),
        "PYTHONPATH": str(SOURCE),
    }
    script = "import os, attacca; print(os.environ['NUMBA_CACHE_DIR'])"
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True)
    assert done.stdout.strip() == str(tmp_path)


def test_a_directory_that_others_can_write_is_not_used(tmp_path: Path) -> None:
    safe = make_private_directory(tmp_path / "safe")
    assert safe == tmp_path / "safe" and safe.stat().st_mode & 0o777 == 0o700
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    (tmp_path / "link").symlink_to(tmp_path / "safe")
    for name in ("open", "link"):
        other = make_private_directory(tmp_path / name)
        assert other != tmp_path / name and other.stat().st_mode & 0o077 == 0
        other.rmdir()
