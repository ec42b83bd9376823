"""The random numbers that gunpowder seeds for each request."""

import numpy as np


def generator() -> np.random.RandomState:
    """numpy's global generator, which every gunpowder node seeds from its request before it works."""
    return np.random.mtrand._rand
