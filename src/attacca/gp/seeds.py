"""Seeds of requests."""

import gunpowder as gp

_MASK = 2**64 - 1


def mix_seed(*numbers: int) -> int:
    """Return a seed below 2^32 that depends on all numbers and their order.

    Args:
        numbers: integers of any size and sign.

    The finalizer of splitmix64 is applied once per number (Steele, Lea and Flood, "Fast splittable pseudorandom
    number generators", OOPSLA 2014).

    >>> mix_seed(7, 0), mix_seed(7, 1), mix_seed(0, 7)
    (2125188677, 1557333855, 318745575)
    """
    state = 0
    for number in numbers:
        state = (state ^ (number & _MASK)) + 0x9E3779B97F4A7C15 & _MASK
        state = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9 & _MASK
        state = (state ^ (state >> 27)) * 0x94D049BB133111EB & _MASK
        state ^= state >> 31
    return state & 0xFFFFFFFF


def copy_with_seed(request: gp.BatchRequest, seed: int | None) -> gp.BatchRequest:
    """Return a copy of ``request`` with another seed; None removes the seed."""
    copied = request.copy()
    copied._random_seed = seed
    return copied
