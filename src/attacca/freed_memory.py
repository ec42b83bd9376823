"""Setting of the C allocator that keeps freed memory in the process, for its next arrays.

glibc returns large blocks to the system at once, and the system clears each page of the next array of the same
size: a quarter of the CPU time of a small network on small samples.
"""

import ctypes
import sys

_M_TRIM_THRESHOLD = -1
_M_TOP_PAD = -2
_M_MMAP_MAX = -4
_MEGABYTE = 2**20


def keep_freed_memory() -> bool:
    """Make the allocator of this process keep freed memory; return whether it does.

    The process stays at its peak size. This suits processes that allocate arrays of the same sizes again and again.
    Only glibc has these options; on other platforms nothing changes.
    """
    if sys.platform != "linux":
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    # Without separate mappings, blocks of all sizes come from the heap, which is never trimmed.
    settings = (
        (_M_MMAP_MAX, 0),
        (_M_TRIM_THRESHOLD, 2**31 - 1),
        (_M_TOP_PAD, 64 * _MEGABYTE),
    )
    return all(mallopt(option, value) for option, value in settings)
