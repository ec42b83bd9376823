"""Zarr stores: local directories, zip files, web servers, and object stores such as S3."""

import asyncio
import difflib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import fsspec
from zarr.abc.store import Store
from zarr.core.buffer import Buffer
from zarr.storage import FsspecStore, LocalStore, ZipStore

from attacca.arrays.identifier import is_url
from attacca.errors import AttaccaError, MissingInputError, ResourceError, VolumeError, summarize_error

FORMAT_VARIABLE = "ATTACCA_ZARR_FORMAT"
"""Environment variable with the Zarr format of new arrays: 3 (OME-Zarr 0.5) by default, or 2 (OME-Zarr 0.4)."""


class AtomicLocalStore(LocalStore):
    """Directory store in which a file is either complete or absent, even after its writer was killed.

    The partial file of a chunk or shard has a fixed name, so that the next writer replaces it. A stored object must not
    have two writers at a time: blocks share none.
    """

    def set_sync(self, key: str, value: Buffer) -> None:
        self._ensure_open_sync()
        self._check_writable()
        write_file(self.root / key, value.as_buffer_like())

    async def _set(self, key: str, value: Buffer, exclusive: bool = False) -> None:
        await self._ensure_open()
        self._check_writable()
        if exclusive and (self.root / key).exists():
            raise FileExistsError(self.root / key)
        await asyncio.to_thread(write_file, self.root / key, value.as_buffer_like())


def write_file(path: Path, data: Any) -> None:
    """Write a file so that it is complete or absent at any time.

    Args:
        path: location; missing directories are created.
        data: any object with the buffer protocol.

    Raises:
        ResourceError: the file cannot be written; the message names it.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     write_file(Path(directory) / "raw" / "0", b"voxels")
    ...     (Path(directory) / "raw" / "0").read_bytes()
    b'voxels'
    """
    partial = path.with_name(f".{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as file:
            file.write(data)
        os.replace(partial, path)
    except OSError as error:
        raise ResourceError(f"cannot write {path}: {error.strerror or error}") from error


def zarr_format() -> Literal[2, 3]:
    """Return the Zarr format of new arrays, from ``ATTACCA_ZARR_FORMAT``.

    >>> from unittest import mock
    >>> with mock.patch.dict(os.environ, {FORMAT_VARIABLE: "2"}):
    ...     zarr_format()
    2
    """
    return 2 if os.environ.get(FORMAT_VARIABLE) == "2" else 3


def storage_options(address: str | Path) -> dict[str, Any]:
    """Return the fsspec options for an address, from environment variables; empty for stores other than S3.

    ``AWS_ENDPOINT_URL_S3`` or ``AWS_ENDPOINT_URL`` name a server other than Amazon's; ``ATTACCA_S3_ANONYMOUS=1`` reads
    public buckets without keys. The AWS library reads keys and region itself.

    >>> storage_options("/data/volume.zarr")
    {}
    """
    if not str(address).startswith("s3://"):
        return {}
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    # Other jobs change listings at any time.
    options: dict[str, Any] = {"use_listings_cache": False}
    if endpoint:
        options["client_kwargs"] = {"endpoint_url": endpoint}
    if os.environ.get("ATTACCA_S3_ANONYMOUS"):
        options["anon"] = True
    return options


def open_store(container: str | Path, mode: str = "r") -> Store:
    """Return the store of a Zarr container: a local directory, a zip file, or a URL.

    Args:
        container: path or URL.
        mode: ``"r"`` requires a local container to exist; ``"a"`` creates it on the first write.

    Raises:
        MissingInputError: a local container to be read does not exist.
        VolumeError: a URL cannot be opened, or the package for its protocol is not installed.

    >>> store = open_store("memory://store.zarr", "a")
    >>> store.read_only, open_store("memory://store.zarr").read_only
    (False, True)
    """
    read_only = mode == "r"
    if is_url(container):
        try:
            options = storage_options(container)
            return FsspecStore.from_url(str(container), storage_options=options, read_only=read_only)
        except ImportError as error:
            raise VolumeError(f"{container}: {error}; for s3:// URLs install attacca[s3]") from error
        except ValueError as error:
            kind = str(container).partition("://")[0]
            raise VolumeError(
                f"{container}: found the kind of address '{kind}://', which cannot be read ({error}); expected the "
                "address of a Zarr or N5 container that begins with s3://, gs://, http:// or https://"
            ) from error
    path = Path(container)
    if path.suffix == ".zip" and path.is_file():
        return ZipStore(path, mode="r")
    if read_only and not path.is_dir():
        raise MissingInputError(f"{path}: no such directory{_suggest_names(path)}")
    return AtomicLocalStore(path, read_only=read_only)


def remote_file_system(address: str) -> tuple[fsspec.AbstractFileSystem, str]:
    """Return the file system of a URL, for synchronous calls, and the path in it.

    >>> system, path = remote_file_system("memory://volume.zarr/raw")
    >>> path, system.exists(path)
    ('/volume.zarr/raw', False)
    """
    system, path = fsspec.core.url_to_fs(address, **storage_options(address))
    return system, path


@contextmanager
def explain_server_errors(container: str | Path) -> Iterator[None]:
    """Convert errors of a server to one line; errors of local containers pass unchanged.

    Raises:
        VolumeError: the server cannot be reached; the message names the address and, for S3, the variables with keys.

    >>> with explain_server_errors("https://example.org/volume.zarr"):
    ...     raise ConnectionError("connection refused")
    Traceback (most recent call last):
    attacca.errors.VolumeError: https://example.org/volume.zarr cannot be reached: ConnectionError: connection refused...
    """
    try:
        yield
    except AttaccaError:
        raise
    except Exception as error:
        if not is_url(container):
            raise
        advice = ""
        if str(container).startswith("s3://"):
            advice = (
                "; keys are read from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or ~/.aws, other servers' addresses "
                "from AWS_ENDPOINT_URL, and ATTACCA_S3_ANONYMOUS=1 reads public buckets without keys"
            )
        raise VolumeError(
            f"{container} cannot be reached: {type(error).__name__}: {summarize_error(error)}{advice}"
        ) from error


def _suggest_names(path: Path) -> str:
    """Return the end of a message that lists the names nearest to a missing one."""
    if not path.parent.is_dir():
        return ""
    names = difflib.get_close_matches(path.name, os.listdir(path.parent), n=3, cutoff=0.5)
    return f"; nearest names there: {', '.join(names)}" if names else ""


def delete(path: str) -> None:
    """Delete an array or group with all its files, if it exists.

    Args:
        path: local path or URL.

    >>> system, root = remote_file_system("memory://old.zarr/zarr.json")
    >>> system.pipe_file(root, b"{}")
    >>> delete("memory://old.zarr")
    >>> system.exists(root)
    False
    """
    if is_url(path):
        system, root = remote_file_system(path)
        if system.exists(root):
            system.rm(root, recursive=True)
    elif os.path.isdir(path):
        shutil.rmtree(path)
