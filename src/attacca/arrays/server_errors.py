"""Errors of web servers and object stores."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from attacca.arrays.identifier import is_url
from attacca.errors import AttaccaError, VolumeError, summarize_error

_CLIENTS = {"s3fs", "gcsfs", "aiobotocore", "botocore", "aiohttp"}
"""Libraries that send requests to servers."""


def is_server_error(error: BaseException) -> bool:
    """Return whether an exception, or one that caused it, was raised by a library that sends requests to servers.

    The types of such exceptions do not show it: a file system raises ``PermissionError``, too.

    >>> is_server_error(PermissionError("Forbidden"))
    False
    """
    cause: BaseException | None = error
    while cause is not None:
        trace = cause.__traceback__
        while trace is not None:
            if str(trace.tb_frame.f_globals.get("__name__")).partition(".")[0] in _CLIENTS:
                return True
            trace = trace.tb_next
        cause = cause.__cause__
    return False


@contextmanager
def explain_failed_requests(address: str | Path) -> Iterator[None]:
    """Convert errors of a server in the middle of the work; all others pass unchanged.

    Raises:
        VolumeError: a request failed; the message names the address.

    >>> with explain_failed_requests("s3://bucket/volume.zarr"):
    ...     raise ValueError("an error of another origin")
    Traceback (most recent call last):
    ValueError: an error of another origin
    """
    try:
        yield
    except AttaccaError:
        raise
    except Exception as error:
        if not is_url(address) or not is_server_error(error):
            raise
        raise VolumeError(
            f"{address}: a request to the server failed: {type(error).__name__}: {summarize_error(error)}"
        ) from error


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
