"""The threads of the C kernels (pool.c): one pool a process, made when first asked for."""

import ctypes
from functools import cache

from orfevre.errors import UserError
from orfevre.kernels import native


@cache
def pool(num_threads: int) -> int:
    """The address of a pool of `num_threads`, the calling thread among them; kept until the process ends.

    Idle threads sleep. Raises UserError when the threads cannot be had, RuntimeError when the kernels are not built.
    """
    library = native.library()
    if library is None or not hasattr(library, "orfevre_pool_create"):
        raise RuntimeError("the C kernels are not built")
    create = library.orfevre_pool_create
    create.argtypes, create.restype = [ctypes.c_int32], ctypes.c_void_p
    address: int | None = create(num_threads)
    if address is None:
        raise UserError(f"{num_threads} threads for the C kernels cannot be started here; ask for fewer")
    return address
