"""Number of CPUs that this process may use."""

import os


def limit_workers(num_workers: int) -> int:
    """Return ``num_workers``, at least 1 and at most the number of CPUs of this process.

    >>> limit_workers(0)
    1
    """
    if hasattr(os, "sched_getaffinity"):
        num_cpus = len(os.sched_getaffinity(0))
    else:
        num_cpus = os.cpu_count() or 1
    return max(1, min(int(num_workers), num_cpus))
