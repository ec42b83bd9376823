"""Predictions averaged over mirrored and transposed copies of the input.

A value that belongs to its voxel alone is mirrored back, and that is all. An affinity belongs to a pair of
voxels, v and v + o. In a mirrored copy the pair is seen from other ends: for a symmetry T of the grid,
channel c' with offset o' of the copy's prediction, put back into the original's frame, holds at voxel u the
affinity of u and u + T(o').

* T(o') = o: it is channel c at u.
* T(o') = -o: it is channel c at u - o, so the copy's values are read at v + o for voxel v.

A symmetry for which some offset has no such partner cannot be used, and is refused.
"""

from dataclasses import dataclass
from itertools import product
from typing import Literal

import numpy as np

from attacca.errors import ConfigurationError
from attacca.prediction.network import Network

Choice = Literal["none", "flips", "all"]


@dataclass(frozen=True)
class Symmetry:
    """A mirroring, with or without an exchange of y and x, and what it does to channels.

    Args:
        flips: whether each spatial axis of the input is mirrored, after the exchange.
        transposed: whether y and x are exchanged first.
        sources: for each channel, the channel of the copy's prediction that stands for it.
        shifts: for each channel, in voxels, where to read relative to the voxel itself.
    """

    flips: tuple[bool, ...]
    transposed: bool
    sources: tuple[int, ...]
    shifts: tuple[tuple[int, ...], ...]

    def forward(self, data: np.ndarray) -> np.ndarray:
        """The copy of (channels, spatial) data that the network is shown."""
        if self.transposed:
            data = np.swapaxes(data, -1, -2)
        return data[(slice(None), *(slice(None, None, -1 if flip else 1) for flip in self.flips))]

    def back(self, data: np.ndarray) -> np.ndarray:
        """(channels, spatial) data of the copy in the original's frame; channels as they are."""
        data = data[(slice(None), *(slice(None, None, -1 if flip else 1) for flip in self.flips))]
        return np.swapaxes(data, -1, -2) if self.transposed else data

    def back_vector(self, offset: tuple[int, ...]) -> tuple[int, ...]:
        """An offset seen in the copy, in the original's frame."""
        vector = [-o if flip else o for o, flip in zip(offset, self.flips)]
        if self.transposed:
            vector[-1], vector[-2] = vector[-2], vector[-1]
        return tuple(vector)


def symmetries(network: Network, choice: Choice) -> list[Symmetry]:
    """The copies to average over, the unchanged one first.

    Raises:
        ConfigurationError: the channels or the voxels do not allow it.
    """
    dims = network.dims
    flips = list(product((False, True), repeat=dims)) if choice != "none" else [(False,) * dims]
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
                "prediction.augmentation: found 'all', but voxels or network differ along y and x; set it "
                "to flips"
            )
    return [_symmetry(network, flip, transpose) for transpose in transposed for flip in flips]


def margin(chosen: list[Symmetry]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Voxels below and above a tile that shifted channels are read from, for each axis."""
    shifts = np.array([shift for symmetry in chosen for shift in symmetry.shifts])
    below, above = np.maximum(0, -shifts).max(axis=0), np.maximum(0, shifts).max(axis=0)
    return tuple(int(b) for b in below), tuple(int(a) for a in above)


def _symmetry(network: Network, flips: tuple[bool, ...], transposed: bool) -> Symmetry:
    dims, count = network.dims, network.num_channels
    none = (0,) * dims
    if network.offsets is None:
        return Symmetry(flips, transposed, tuple(range(count)), (none,) * count)
    bare = Symmetry(flips, transposed, (), ())
    seen: dict[tuple[int, ...], int] = {}
    for channel, offset in enumerate(network.offsets):
        seen.setdefault(bare.back_vector(offset), channel)
    sources, shifts = [], []
    for name, offset in zip(network.channel_names, network.offsets):
        if offset in seen:
            sources.append(seen[offset])
            shifts.append(none)
        elif tuple(-o for o in offset) in seen:
            sources.append(seen[tuple(-o for o in offset)])
            shifts.append(offset)
        else:
            raise ConfigurationError(
                f"prediction.augmentation: the affinity '{name}' with offset {list(offset)} has no partner "
                "among the "
                "offsets when the volume is mirrored or turned; set it to none, or use a neighborhood that "
                "is its own "
                "mirror image"
            )
    return Symmetry(flips, transposed, tuple(sources), tuple(shifts))
