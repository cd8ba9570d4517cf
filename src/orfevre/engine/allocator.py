"""Keep freed memory for the next step instead of handing it back to the kernel.

A training step frees and takes the same hundreds of megabytes again and again. By its defaults glibc maps each large
block anew, and the first touch of each page is a fault: 40,000 to 65,000 a step of a small model, 6 to 15 % of its
time (docs/log.md). Set inside the process, so that no launcher or environment variable is needed.
"""

import ctypes
import sys
from functools import cache

# <malloc.h>
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3
_LIMITS = {_MMAP_THRESHOLD: 2**30, _TRIM_THRESHOLD: 2**31 - 1, _TOP_PAD: 2**26}
_OLDER_MMAP_THRESHOLD = 2**25
"""The most that glibc before 2.35 takes."""


@cache
def keep_memory() -> bool:
    """From now on, this process keeps what it frees; False where the C library has no such setting."""
    if (library := _glibc()) is None:
        return False
    done = [bool(library.mallopt(name, limit)) for name, limit in _LIMITS.items()]
    if not done[0]:
        done[0] = bool(library.mallopt(_MMAP_THRESHOLD, _OLDER_MMAP_THRESHOLD))
    return all(done)


def hand_back() -> None:
    """Give what is free now back to the kernel: when training ends."""
    if keep_memory() and (library := _glibc()) is not None:
        library.malloc_trim(0)


def _glibc() -> ctypes.CDLL | None:
    """None on other systems and other C libraries (musl has no mallopt)."""
    if not sys.platform.startswith("linux"):
        return None
    library = ctypes.CDLL(None)
    return library if hasattr(library, "mallopt") and hasattr(library, "malloc_trim") else None
