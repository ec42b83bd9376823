"""With what results are computed: versions of packages, the state of the checkout, the machine."""

import os
import platform
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

from attacca import __version__
from attacca.fingerprint import digest, digest_file

# Packages whose version can change a result; all others stand in the list of the environment.
_DECISIVE = (
    "connected-components-3d",
    "dask",
    "edt",
    "fastremap",
    "funlib.geometry",
    "gunpowder",
    "mwatershed",
    "numba",
    "numcodecs",
    "numpy",
    "scipy",
    "snakemake",
    "torch",
    "zarr",
)


_SOURCES = ("Snakefile", "rules", "src")
"""What of a checkout decides about results."""


def package_versions() -> dict[str, Any]:
    """Versions of Python, Attacca and what it computes with; the whole environment and its digest."""
    names = {item.metadata["Name"]: item.version for item in metadata.distributions()}
    installed = sorted(f"{name}=={version}" for name, version in names.items() if name)
    versions = {name: found for name in _DECISIVE if (found := _version(name))}
    return {
        "python": platform.python_version(),
        "attacca": __version__,
        **versions,
        "environment": installed,
        "environment digest": digest(installed),
    }


def source_state() -> dict[str, Any]:
    """Commit of the checkout that ran, and a digest of what differs from it; empty outside of a checkout.

    Files that nobody has committed count where the workflow's source stands; elsewhere they may be data.
    """
    return checkout_state(Path(__file__).resolve().parents[3])


def checkout_state(source: Path) -> dict[str, Any]:
    """``source_state`` of the checkout in a directory."""
    commit = _git(source, "rev-parse", "HEAD")
    if not commit:
        return {}
    changes = _git(source, "status", "--porcelain", "--untracked-files=no")
    new = _git(source, "ls-files", "-z", "--others", "--exclude-standard", "--", *_SOURCES).split("\0")
    added = {name: digest_file(source / name) for name in new if (source / name).is_file()}
    state: dict[str, Any] = {"commit": commit, "changed": bool(changes or added)}
    if changes or added:
        state["changes digest"] = digest([_git(source, "diff", "HEAD"), added])
    return state


def hardware() -> dict[str, Any]:
    """Processor, memory and GPUs of this machine."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "processor": _processor(),
        "cores": os.cpu_count() or 1,
        "memory gb": round(memory / 1e9),
        "gpus": _gpus(),
        "system": f"{platform.system()} {platform.machine()}, {'.'.join(platform.libc_ver())}",
        "interpreter": sys.implementation.cache_tag,
    }


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def _git(directory: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(directory), *arguments], capture_output=True, text=True, timeout=30, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _gpus() -> list[str]:
    if shutil.which("nvidia-smi") is None:
        return []
    command = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    return [line.strip() for line in done.stdout.splitlines() if line.strip()]
