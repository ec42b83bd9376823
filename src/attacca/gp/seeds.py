"""Seeds of requests."""

import gunpowder as gp

_MASK = 2**64 - 1


def mix(*numbers: int) -> int:
    """A number below 2^32 from any whole numbers (the finaliser of splitmix64; Steele, Lea, Flood 2014)."""
    state = 0
    for number in numbers:
        state = (state ^ (number & _MASK)) + 0x9E3779B97F4A7C15 & _MASK
        state = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9 & _MASK
        state = (state ^ (state >> 27)) * 0x94D049BB133111EB & _MASK
        state ^= state >> 31
    return state & 0xFFFFFFFF


def with_seed(request: gp.BatchRequest, seed: int | None) -> gp.BatchRequest:
    """A copy of ``request`` with another seed (None: none)."""
    copied = request.copy()
    copied._random_seed = seed
    return copied
