"""Application of a network to a region of a volume, tile by tile.

The corners of a tile are multiples of the network's factor, counted from the start of the volume, and a tile is read
with the network's context. The value of a voxel then does not depend on the tile or block that contains it.
"""

from collections.abc import Iterator
from itertools import pairwise, product

import numpy as np
import torch

from attacca.architectures.architecture import crop_center
from attacca.config.prediction import PredictionConfig
from attacca.errors import ConfigurationError
from attacca.model import Model
from attacca.prediction.augmentation import Symmetry, choose_symmetries, compute_margin
from attacca.prediction.cpu_inference import accelerate_on_cpu
from attacca.prediction.network import Network
from attacca.prediction.sizes import choose_sizes

Box = tuple[tuple[int, ...], tuple[int, ...]]
"""Lower and upper corner of a region, in voxels from the start of the volume."""


class TiledNetwork:
    """A network on a device, for regions of any size.

    Args:
        network: the network; its model is moved to the device.
        config: tile size, augmentation, precision.
        device: the device.

    Raises:
        ConfigurationError: tile size or augmentation do not fit the network.
    """

    def __init__(self, network: Network, config: PredictionConfig, device: torch.device) -> None:
        self.network = network
        self.device = device
        self.tile = choose_sizes(network, config).tile
        self._symmetries = choose_symmetries(network, config.augmentation)
        below, above = compute_margin(self._symmetries)
        # Tiles are enlarged by whole factors; otherwise their values would change.
        self._below = tuple(-(-b // f) * f for b, f in zip(below, network.factor))
        self._above = tuple(-(-a // f) * f for a, f in zip(above, network.factor))
        self._fixed = network.fixed_input_shape is not None
        if self._fixed and any(self._below + self._above):
            raise ConfigurationError(
                "prediction.augmentation: affinities of mirrored copies need larger inputs, but the network has a "
                "fixed input shape; set it to none"
            )
        self._autocast = config.autocast and device.type == "cuda"
        # Convolutions on CPUs are a third faster if channels are contiguous in memory.
        self._layout = torch.channels_last_3d if network.dims == 3 else torch.channels_last
        model = network.model.eval().to(device=device)
        if device.type == "cpu":
            model = accelerate_on_cpu(model)
        self._model = model.to(memory_format=self._layout)  # type: ignore[call-overload]

    def read_box(self, box: Box) -> Box:
        """Return the box to read for a region: whole tiles or factors, margins for shifted channels, context."""
        begins, ends = [], []
        for axis, (begin, end) in enumerate(zip(*box)):
            step = self.tile[axis] if self._fixed else self.network.factor[axis]
            reach = self.network.context[axis]
            grown = [begin - self._below[axis], end + self._above[axis]]
            begins.append(grown[0] // step * step - reach)
            ends.append(-(-grown[1] // step) * step + reach)
        return tuple(begins), tuple(ends)

    def run(self, raw: np.ndarray, box: Box) -> Iterator[tuple[tuple[slice, ...], np.ndarray]]:
        """Yield the values of a region, part by part.

        Args:
            raw: normalized raw data of ``read_box(box)``, float32, shape (channels, spatial axes).
            box: the region.

        Yields:
            Slices of a part in the region (spatial axes), and its values, float32, shape (channels, spatial axes).
        """
        origin = self.read_box(box)[0]
        for begin, end in self._split_box(box):
            total: np.ndarray | None = None
            for symmetry in self._symmetries:
                values = self._compute_values(raw, origin, begin, end, symmetry)
                if total is None:
                    total = values
                else:
                    total += values
            assert total is not None
            if len(self._symmetries) > 1:
                total /= np.float32(len(self._symmetries))
            yield tuple(slice(b - o, e - o) for b, e, o in zip(begin, end, box[0])), total

    def _split_box(self, box: Box) -> Iterator[Box]:
        # Parts end at the corners of global tiles.
        axes = []
        for begin, end, tile in zip(*box, self.tile):
            cuts = [begin, *range((begin // tile + 1) * tile, end, tile), end]
            axes.append(list(pairwise(cuts)))
        for intervals in product(*axes):
            yield tuple(i[0] for i in intervals), tuple(i[1] for i in intervals)

    def _compute_values(
        self,
        raw: np.ndarray,
        origin: tuple[int, ...],
        begin: tuple[int, ...],
        end: tuple[int, ...],
        symmetry: Symmetry,
    ) -> np.ndarray:
        if not any(any(shift) for shift in symmetry.shifts):
            whole, low = self._predict_tile(raw, origin, begin, end, symmetry)
            inner = tuple(slice(b - o, e - o) for b, e, o in zip(begin, end, low))
            if symmetry.sources == tuple(range(len(symmetry.sources))):
                return np.array(whole[(slice(None), *inner)], dtype=np.float32)
            return np.ascontiguousarray(
                whole[list(symmetry.sources)][(slice(None), *inner)], dtype=np.float32
            )
        grown_begin = tuple(b - below for b, below in zip(begin, self._below))
        grown_end = tuple(e + above for e, above in zip(end, self._above))
        result = np.empty((len(symmetry.sources), *(e - b for b, e in zip(begin, end))), dtype=np.float32)
        whole, low = self._predict_tile(raw, origin, grown_begin, grown_end, symmetry)
        for channel, (source, shift) in enumerate(zip(symmetry.sources, symmetry.shifts)):
            inner = tuple(slice(b - o + s, e - o + s) for b, e, o, s in zip(begin, end, low, shift))
            result[channel] = whole[source][inner]
        return result

    def _predict_tile(
        self,
        raw: np.ndarray,
        origin: tuple[int, ...],
        begin: tuple[int, ...],
        end: tuple[int, ...],
        symmetry: Symmetry,
    ) -> tuple[np.ndarray, tuple[int, ...]]:
        """Return values of the original around a part, and their lower corner."""
        network = self.network
        step = self.tile if self._fixed else network.factor
        low = tuple(b // s * s for b, s in zip(begin, step))
        high = tuple(-(-e // s) * s for e, s in zip(end, step))
        where = tuple(slice(b - c - o, e + c - o) for b, e, c, o in zip(low, high, network.context, origin))
        shape = tuple(e - b for b, e in zip(low, high))
        data = symmetry.apply(raw[(slice(None), *where)])
        return symmetry.invert(self._compute_center(data, symmetry.apply_shape(shape))), low

    def _compute_center(self, data: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        """Return the center of the prediction for ``data``, of spatial ``shape``."""
        tensor = torch.from_numpy(np.ascontiguousarray(data)[None]).to(self.device)
        tensor = tensor.contiguous(memory_format=self._layout)
        with torch.inference_mode(), torch.autocast(self.device.type, enabled=self._autocast):
            if isinstance(self._model, Model):
                output = self._model.compute_center(tensor, shape)
            else:
                output = crop_center(self._model(tensor), shape)
        return output[0, : self.network.num_channels].float().cpu().numpy()
