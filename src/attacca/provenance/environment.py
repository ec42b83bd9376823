"""Software and hardware environment: versions of packages, state of the checkout, processor, memory and GPUs."""

import os
import platform
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

from attacca.fingerprint import digest, digest_file
from attacca.version import __version__

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
"""Packages whose version can change a result."""

_SOURCES = ("Snakefile", "rules", "src")
"""Parts of the checkout that can change a result."""


def read_package_versions() -> dict[str, Any]:
    """Return the versions of Python, Attacca and decisive packages, and the list of all packages with its digest."""
    names = {item.metadata["Name"]: item.version for item in metadata.distributions()}
    installed = sorted(f"{name}=={version}" for name, version in names.items() if name)
    versions = {name: version for name in _DECISIVE if (version := _read_version(name))}
    return {
        "python": platform.python_version(),
        "attacca": __version__,
        **versions,
        "environment": installed,
        "environment digest": digest(installed),
    }


def read_checkout_state(source: Path | None = None) -> dict[str, Any]:
    """Return the commit of a checkout and a digest of the changes since; empty outside of a checkout.

    Files that are not committed count only among the sources of the workflow; elsewhere they may be data.

    Args:
        source: directory of the checkout; the one that contains this module by default.
    """
    source = source or Path(__file__).resolve().parents[3]
    commit = _run("git", "-C", str(source), "rev-parse", "HEAD")
    if not commit:
        return {}
    git = ("git", "-C", str(source))
    changes = _run(*git, "status", "--porcelain", "--untracked-files=no")
    new = _run(*git, "ls-files", "-z", "--others", "--exclude-standard", "--", *_SOURCES).split("\0")
    added = {name: digest_file(source / name) for name in new if (source / name).is_file()}
    state: dict[str, Any] = {"commit": commit, "changed": bool(changes or added)}
    if changes or added:
        state["changes digest"] = digest([_run(*git, "diff", "HEAD"), added])
    return state


def read_hardware() -> dict[str, Any]:
    """Return processor, memory and GPUs of this machine."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    gpus = ""
    if shutil.which("nvidia-smi") is not None:
        gpus = _run("nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader")
    return {
        "processor": _read_processor(),
        "cores": os.cpu_count() or 1,
        "memory gb": round(memory / 1e9),
        "gpus": [line.strip() for line in gpus.splitlines() if line.strip()],
        "system": f"{platform.system()} {platform.machine()}, {'.'.join(platform.libc_ver())}",
        "interpreter": sys.implementation.cache_tag,
    }


def _read_version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def _read_processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _run(*command: str) -> str:
    """Return the output of a command; empty if it fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()
