"""Random numbers that gunpowder seeds for each request."""

import numpy as np


def get_generator() -> np.random.RandomState:
    """Return numpy's global generator, which each gunpowder node seeds from its request before it works."""
    return np.random.mtrand._rand
