"""Zarr stores: local directories, N5, and object stores such as S3."""

import difflib
import os
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import zarr
from zarr.storage import BaseStore, DirectoryStore, FSStore

from attacca.arrays.identifier import is_url
from attacca.errors import AttaccaError, MissingInputError, ResourceError, VolumeError, summarize_error


class AtomicDirectoryStore(DirectoryStore):
    """Directory store in which a file is either complete or absent, even after its writer was killed.

    The partial file of a chunk has a fixed name, so that the next writer of the chunk replaces it. A chunk must not
    have two writers at a time: blocks share no chunk.
    """

    def __setitem__(self, key: str, value: Any) -> None:
        path = os.path.join(self.path, self._normalize_key(key))
        directory, name = os.path.split(path)
        partial = os.path.join(directory, f".{name}.partial")
        try:
            os.makedirs(directory, exist_ok=True)
            with open(partial, "wb") as file:
                file.write(memoryview(value).cast("B") if not isinstance(value, bytes) else value)
            os.replace(partial, path)
        except OSError as error:
            raise ResourceError(f"cannot write {path}: {error.strerror or error}") from error

    def _keys_fast(self, path: str, walker: Any = os.walk) -> Any:  # type: ignore[override]
        for key in super()._keys_fast(path, walker):
            if not key.endswith(".partial"):
                yield key


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


def open_store(container: str | Path, mode: str = "r") -> BaseStore:
    """Return the store of a container: an ``.n5`` directory, another local directory, or a URL.

    Args:
        container: path or URL.
        mode: ``"r"`` requires a local container to exist; ``"a"`` creates it on the first write.

    Raises:
        MissingInputError: a local container to be read does not exist.
        VolumeError: a URL cannot be opened, or the package for its protocol is not installed.
    """
    if is_url(container):
        try:
            access = "r" if mode == "r" else "a"
            options = storage_options(container)
            if str(container).rstrip("/").endswith(".n5"):
                return _make_n5_store(zarr.N5FSStore, str(container), mode=access, **options)
            store = FSStore(str(container), mode=access, **options)
            # A missing chunk means the fill value; any other failure of the network must be an error.
            store.exceptions = (KeyError, FileNotFoundError)
            return store
        except ImportError as error:
            raise VolumeError(f"{container}: {error}; for s3:// URLs install attacca[s3]") from error
        except ValueError as error:
            kind = str(container).partition("://")[0]
            raise VolumeError(
                f"{container}: found the kind of address '{kind}://', which cannot be read ({error}); expected the "
                "address of a Zarr or N5 container that begins with s3://, gs://, http:// or https://"
            ) from error
    path = Path(container)
    if mode == "r" and not path.is_dir():
        raise MissingInputError(f"{path}: no such directory{_suggest_names(path)}")
    if path.suffix == ".n5" or (path / "attributes.json").exists():
        return _make_n5_store(zarr.N5Store, str(path))
    return AtomicDirectoryStore(str(path))


def is_n5(store: BaseStore) -> bool:
    """Return True for N5 stores, which keep lists in attributes in the order x, y, z."""
    return isinstance(store, (zarr.N5Store, zarr.N5FSStore))


@contextmanager
def explain_server_errors(container: str | Path) -> Iterator[None]:
    """Convert errors of a server to one line; errors of local containers pass unchanged.

    Raises:
        VolumeError: the server cannot be reached; the message names the address and, for S3, the variables with keys.
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


def _make_n5_store(kind: type[BaseStore], *arguments: Any, **options: Any) -> BaseStore:
    # zarr 2 warns that zarr 3 will drop N5.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        return kind(*arguments, **options)


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
    """
    if is_url(path):
        store = open_store(path, "a")
        store.fs.rm(store.path, recursive=True) if store.fs.exists(store.path) else None
    elif os.path.isdir(path):
        shutil.rmtree(path)
