"""File and line of an error in the code of an extension."""

import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from attacca.errors import AttaccaError, ConfigurationError, summarize_error

_files: dict[str, str] = {}


def note_file(path: str, name: str) -> None:
    """Remember that a file holds the code of an extension.

    Args:
        path: the file, as it is in tracebacks.
        name: the file in messages.
    """
    _files[path] = name


def locate_failure(error: BaseException) -> str:
    """Return file, line and cause of an error that the code of an extension raised; empty for another error."""
    if isinstance(error, SyntaxError) and error.filename in _files:
        return f"{_files[error.filename]}, line {error.lineno}: {error.msg}"
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename in _files]
    if not frames:
        return ""
    cause = f"{type(error).__name__}: {summarize_error(error)}"
    return f"{_files[frames[-1].filename]}, line {frames[-1].lineno}: {cause}"


@contextmanager
def explain_failure(what: str) -> Iterator[None]:
    """Report an error in the code of an extension with its file and its line.

    Args:
        what: the failed step, such as ``the loss 'focal' cannot be created``.

    Raises:
        ConfigurationError: the code inside the context raised an error in an extension.
    """
    try:
        yield
    except AttaccaError:
        raise
    except Exception as error:
        where = locate_failure(error)
        if not where:
            raise
        raise ConfigurationError(f"{what}: {where}", fix="correct the extension") from error
