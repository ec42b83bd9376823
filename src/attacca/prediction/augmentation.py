"""Test-time augmentation: predictions averaged over mirrored and transposed copies of the input.

A value of a voxel is mapped back by mirroring. An affinity belongs to a pair of voxels, v and v + o, whose order
a symmetry may reverse. For a symmetry T of the grid, channel c' with offset o' of the copy's prediction, mapped back
to the original, contains at voxel u the affinity of u and u + T(o').

* T(o') = o: it is channel c at u.
* T(o') = -o: it is channel c at u - o, so the copy's values are read at v + o for voxel v.

A symmetry that maps an offset to neither is refused.
"""

from dataclasses import dataclass
from itertools import product
from typing import Literal

import numpy as np

from attacca.errors import ConfigurationError
from attacca.prediction.network import Network

Choice = Literal["none", "opposite", "flips", "all"]


@dataclass(frozen=True)
class Symmetry:
    """A transposition of y and x and a mirroring, and their effect on channels.

    Args:
        flips: for each spatial axis of the input, whether it is mirrored, after the transposition.
        transposed: whether y and x are transposed first.
        sources: for each channel, the channel of the copy's prediction with its values.
        shifts: for each channel, offset in voxels at which its values are read.
    """

    flips: tuple[bool, ...]
    transposed: bool
    sources: tuple[int, ...]
    shifts: tuple[tuple[int, ...], ...]

    def apply(self, data: np.ndarray) -> np.ndarray:
        """Return the transformed copy of the network's input, shape (channels, spatial axes)."""
        if self.transposed:
            data = np.swapaxes(data, -1, -2)
        return data[(slice(None), *(slice(None, None, -1 if flip else 1) for flip in self.flips))]

    def apply_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the spatial shape of the transformed copy of data of ``shape``."""
        return (*shape[:-2], shape[-1], shape[-2]) if self.transposed else shape

    def invert(self, data: np.ndarray) -> np.ndarray:
        """Map an output of the network, shape (channels, spatial axes), back to the original; channels are kept."""
        data = data[(slice(None), *(slice(None, None, -1 if flip else 1) for flip in self.flips))]
        return np.swapaxes(data, -1, -2) if self.transposed else data

    def invert_offset(self, offset: tuple[int, ...]) -> tuple[int, ...]:
        """Map an offset of the copy back to the original."""
        vector = [-o if flip else o for o, flip in zip(offset, self.flips)]
        if self.transposed:
            vector[-1], vector[-2] = vector[-2], vector[-1]
        return tuple(vector)


def choose_symmetries(network: Network, choice: Choice) -> list[Symmetry]:
    """Return the symmetries to average over, the identity first.

    Args:
        network: the network.
        choice: ``none``, ``opposite`` (also mirrored along all axes at once), ``flips`` (all mirrorings), or ``all`` (also
            with y and x transposed).

    Raises:
        ConfigurationError: the channels, the voxel size or the network do not permit them.
    """
    dims = network.dims
    if choice in ("none", "opposite"):
        flips = [(flip,) * dims for flip in (False, True)[: 1 if choice == "none" else 2]]
    else:
        flips = list(product((False, True), repeat=dims))
    transposed = (False, True) if choice == "all" else (False,)
    if choice != "none" and network.not_mirrored:
        raise ConfigurationError(
            f"prediction.augmentation: found '{choice}', but {network.not_mirrored}; set it to none"
        )
    if choice == "all":
        sizes = [network.factor, network.context]
        sizes += [size for size in (network.voxel_size, network.fixed_input_shape) if size is not None]
        if any(size[-1] != size[-2] for size in sizes):
            raise ConfigurationError(
                "prediction.augmentation: found 'all', but voxels or network differ along y and x; set it to flips"
            )
    return [_create_symmetry(network, flip, transpose) for transpose in transposed for flip in flips]


def compute_margin(chosen: list[Symmetry]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the voxels below and above a tile from which shifted channels are read, per axis."""
    shifts = np.array([shift for symmetry in chosen for shift in symmetry.shifts])
    below, above = np.maximum(0, -shifts).max(axis=0), np.maximum(0, shifts).max(axis=0)
    return tuple(int(b) for b in below), tuple(int(a) for a in above)


def _create_symmetry(network: Network, flips: tuple[bool, ...], transposed: bool) -> Symmetry:
    dims, count = network.dims, network.num_channels
    no_shift = (0,) * dims
    if network.offsets is None:
        return Symmetry(flips, transposed, tuple(range(count)), (no_shift,) * count)
    bare = Symmetry(flips, transposed, (), ())
    channel_of: dict[tuple[int, ...], int] = {}
    for channel, offset in enumerate(network.offsets):
        channel_of.setdefault(bare.invert_offset(offset), channel)
    sources, shifts = [], []
    for name, offset in zip(network.channel_names, network.offsets):
        if offset in channel_of:
            sources.append(channel_of[offset])
            shifts.append(no_shift)
        elif tuple(-o for o in offset) in channel_of:
            sources.append(channel_of[tuple(-o for o in offset)])
            shifts.append(offset)
        else:
            raise ConfigurationError(
                f"prediction.augmentation: mirroring or transposition maps no affinity to '{name}' with offset "
                f"{list(offset)}; set it to none, or use a symmetric neighborhood"
            )
    return Symmetry(flips, transposed, tuple(sources), tuple(shifts))
