"""Zarr stores: local directories, zip files, web servers, and object stores such as S3."""

import asyncio
import difflib
import json
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal

import fsspec
from zarr.abc.store import ByteRequest, Store
from zarr.core.buffer import Buffer, BufferPrototype
from zarr.storage import FsspecStore, LocalStore, ZipStore

from attacca.arrays.identifier import is_url
from attacca.arrays.server_errors import explain_failed_requests, explain_server_errors
from attacca.errors import MissingInputError, ResourceError, VolumeError, summarize_error
from attacca.extras import make_install_command

FORMAT_VARIABLE = "ATTACCA_ZARR_FORMAT"
"""Environment variable with the Zarr format of new arrays: 3 (OME-Zarr 0.5) by default, or 2 (OME-Zarr 0.4)."""


_EXTRAS = {"s3": "s3", "gs": "gcs", "gcs": "gcs", "http": "http", "https": "http"}
"""Extra of the package that reads a kind of address."""


class AtomicLocalStore(LocalStore):
    """Directory store in which a file is either complete or absent, even after its writer was killed.

    The partial file of a chunk or shard has a fixed name, so that the next writer replaces it. A stored object must not
    have two writers at a time: blocks share none.
    """

    async def get(
        self, key: str, prototype: BufferPrototype | None = None, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        await self._ensure_open()
        return await asyncio.to_thread(self.get_sync, key, prototype=prototype, byte_range=byte_range)

    def get_sync(
        self, key: str, *, prototype: BufferPrototype | None = None, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        check_regular_file(self.root / key)
        return super().get_sync(key, prototype=prototype, byte_range=byte_range)

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


def check_regular_file(path: Path) -> None:
    """Raise an error unless a path is a file, a directory, or does not exist, so that no reader waits for a pipe.

    Raises:
        VolumeError: the path is a FIFO, socket or device, a link whose target does not exist, or may not be read.

    >>> check_regular_file(Path(os.devnull))
    Traceback (most recent call last):
    attacca.errors.VolumeError: /dev/null: found a device, a pipe or a socket, expected a file; remove it or restore the file
    """
    try:
        mode = os.stat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        if os.path.islink(path):
            target = os.readlink(path)
            raise VolumeError(
                f"{path}: found a link to {target}, which does not exist", fix="restore the file"
            ) from None
        return
    except OSError as error:
        raise VolumeError(
            f"{path} cannot be read: {error.strerror}",
            fix="ask its owner for permission, or correct the path",
        ) from error
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise VolumeError(
            f"{path}: found a device, a pipe or a socket, expected a file",
            fix="remove it or restore the file",
        )


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
        with _explain_protocol(container):
            options = storage_options(container)
            return FsspecStore.from_url(str(container), storage_options=options, read_only=read_only)
    path = Path(container)
    if path.suffix == ".zip" and path.is_file():
        return ZipStore(path, mode="r")
    if read_only and not path.is_dir():
        raise MissingInputError(f"{path}: no such directory{_suggest_names(path)}")
    return AtomicLocalStore(path, read_only=read_only)


@contextmanager
def _explain_protocol(address: str | Path) -> Iterator[None]:
    """Convert errors for an address whose kind is unknown, or whose package is not installed."""
    protocol = str(address).partition("://")[0]
    try:
        yield
    except ImportError as error:
        extra = _EXTRAS.get(protocol)
        raise VolumeError(
            f"{address}: a package that reads {protocol}:// addresses is not installed ({summarize_error(error)})",
            fix=make_install_command(extra) if extra else "install the package",
        ) from error
    except ValueError as error:
        raise VolumeError(
            f"{address}: found the kind of address '{protocol}://', which cannot be read ({error}); expected the "
            "address of a Zarr or N5 container that begins with s3://, gs://, http:// or https://"
        ) from error


def remote_file_system(address: str) -> tuple[fsspec.AbstractFileSystem, str]:
    """Return the file system of a URL, for synchronous calls, and the path in it.

    >>> system, path = remote_file_system("memory://volume.zarr/raw")
    >>> path, system.exists(path)
    ('/volume.zarr/raw', False)
    """
    with _explain_protocol(address):
        system, path = fsspec.core.url_to_fs(address, **storage_options(address))
    return system, path


def read_metadata_file(path: str) -> bytes | None:
    """Return the contents of a small file; None if it does not exist.

    Args:
        path: local path or URL.

    Raises:
        VolumeError: the local file may not be read, or is not a regular file; or the server cannot be reached.

    >>> system, root = remote_file_system("memory://metadata.zarr/.zarray")
    >>> system.pipe_file(root, b"{}")
    >>> read_metadata_file("memory://metadata.zarr/.zarray"), read_metadata_file("memory://metadata.zarr/.zgroup")
    (b'{}', None)
    """
    missing = (FileNotFoundError, NotADirectoryError, IsADirectoryError)
    if is_url(path):
        system, root = remote_file_system(path)
        with explain_failed_requests(path), suppress(*missing):
            return bytes(system.cat_file(root))
        return None
    try:
        check_regular_file(Path(path))
        return Path(path).read_bytes()
    except missing:
        return None
    except OSError as error:
        raise VolumeError(
            f"{path} cannot be read: {error.strerror}",
            fix="ask its owner for permission, or correct the path",
        ) from error


def list_objects(address: str, limit: int = 20_000) -> list[list[str | int]]:
    """Return key, size and digest of the first objects below an address in S3 or Google Cloud Storage.

    A page of a thousand objects is one request, whatever their directories. The digest is the ETag in S3, CRC-32C in
    Google Cloud Storage.

    Args:
        address: URL of an array; the list is empty at other addresses.
        limit: number of objects.

    Raises:
        VolumeError: the server cannot be reached, or refuses the request.
    """
    scheme = address.partition("://")[0]
    if scheme not in ("s3", "gs", "gcs"):
        return []
    system, path = remote_file_system(address)
    bucket, _, prefix = path.partition("/")
    list_pages = _list_s3 if scheme == "s3" else _list_google
    objects: list[list[str | int]] = []
    with explain_server_errors(address):
        for page in list_pages(system, bucket, f"{prefix.rstrip('/')}/"):
            objects += page
            if len(objects) >= limit:
                break
    return objects[:limit]


def _list_s3(system: Any, bucket: str, prefix: str) -> Iterator[list[list[str | int]]]:
    query = {"Bucket": bucket, "Prefix": prefix}
    while True:
        page = system.call_s3("list_objects_v2", **query)
        yield [[item["Key"], item["Size"], item["ETag"]] for item in page.get("Contents", [])]
        if not page.get("IsTruncated"):
            return
        query["ContinuationToken"] = page["NextContinuationToken"]


def _list_google(system: Any, bucket: str, prefix: str) -> Iterator[list[list[str | int]]]:
    query = {"prefix": prefix, "fields": "items(name,size,crc32c),nextPageToken"}
    while True:
        page = system.call("GET", "b/{}/o", bucket, json_out=True, **query)
        yield [[item["name"], int(item["size"]), item["crc32c"]] for item in page.get("items", [])]
        if not page.get("nextPageToken"):
            return
        query["pageToken"] = page["nextPageToken"]


def parse_metadata_file(path: str) -> dict[str, Any] | None:
    """Return the JSON object in a metadata file; None if the file does not exist.

    Raises:
        VolumeError: the file is not a JSON object; the message names it.

    >>> system, root = remote_file_system("memory://cut.zarr/.zarray")
    >>> system.pipe_file(root, b'{"shape": [32')
    >>> parse_metadata_file("memory://cut.zarr/.zarray")
    Traceback (most recent call last):
    attacca.errors.VolumeError: memory://cut.zarr/.zarray is damaged: expected a JSON object, found '{"shape": [32'...
    """
    data = read_metadata_file(path)
    if data is None:
        return None
    try:
        values = json.loads(data)
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, dict):
        text = data[:40].decode(errors="replace")
        found = f"{text!r}{' ...' if len(data) > 40 else ''}" if data else "an empty file"
        raise VolumeError(
            f"{path} is damaged: expected a JSON object, found {found} ({len(data)} bytes)",
            fix="restore the file, or copy the volume again",
        )
    return values


def _suggest_names(path: Path) -> str:
    """Return the end of a message that lists the names nearest to a missing one."""
    if not path.parent.is_dir():
        return ""
    names = difflib.get_close_matches(path.name, os.listdir(path.parent), n=3, cutoff=0.5)
    return f"; nearest names there: {', '.join(names)}" if names else ""


def output_exists(path: str) -> bool:
    """Return False if an array, a directory of tables or a file was deleted.

    Hidden files, such as a ledger, do not make an array. A store that is unreachable does not prove a deletion.

    Args:
        path: local path or URL.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> (folder / ".attacca").mkdir()
    >>> output_exists(str(folder))
    False
    >>> (folder / "zarr.json").touch()
    >>> output_exists(str(folder)), output_exists(str(folder / "zarr.json")), output_exists("memory://none.zarr/s0")
    (True, True, False)
    """
    if is_url(path):
        try:
            system, root = remote_file_system(path)
            return any(system.exists(f"{root}/{name}") for name in ("zarr.json", ".zarray"))
        except Exception:
            # The stage that reads the array reports more.
            return True
    try:
        with os.scandir(path) as files:
            return any(file.name == ".zarray" or not file.name.startswith(".") for file in files)
    except NotADirectoryError:
        return True
    except OSError:
        return False


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
