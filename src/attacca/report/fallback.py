"""Parts of the page that may fail without stopping the others."""

import logging
from collections.abc import Callable

logger = logging.getLogger(__name__)


def compute_or[T](fallback: T, subject: str, compute: Callable[[], T]) -> T:
    """Compute a part of the page. On an error, log it and return the fallback.

    A report with one missing part is more useful than none.

    Args:
        fallback: result after an error.
        subject: name of the part, for the log.
        compute: called without arguments.

    >>> compute_or("", "the curve", lambda: "<svg/>")
    '<svg/>'
    """
    try:
        return compute()
    except Exception:
        logger.exception("report: %s could not be displayed", subject)
        return fallback
