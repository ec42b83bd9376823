"""Block function that predicts a volume.

While the network computes one block, the next one is read and the previous one is written.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from funlib.geometry import Coordinate, Roi
from numpy.typing import DTypeLike

from attacca.arrays.identifier import LocalArrayIdentifier
from attacca.arrays.stored_values import check_values
from attacca.arrays.zarr_array import ZarrArray
from attacca.blockwise import Block
from attacca.config.prediction import PredictionConfig
from attacca.device import choose_device
from attacca.errors import DamagedDataError, ResourceError
from attacca.freed_memory import keep_freed_memory
from attacca.prediction.loading import load_network
from attacca.prediction.network import Network
from attacca.prediction.tiles import Box, TiledNetwork

# Maximum numbers of blocks that are read in advance, and that wait to be written.
_AHEAD = 2


class _Opened(NamedTuple):
    tiles: TiledNetwork
    raw: ZarrArray
    output: ZarrArray


class PredictBlocks:
    """Block function for ``attacca.blockwise.run_blocks`` that predicts blocks of a volume.

    Args:
        checkpoint: file of the trained network, or a function without arguments that returns a ``Network``.
        raw: the raw data.
        output: the array that ``create_prediction_array`` has created.
        config: sizes, augmentation, device.
        shard: index of the shard; the shards on a machine use its GPUs in turn.
        percentiles: percentiles of the raw data, from the record of its import; None to measure them if the network
            needs them.
    """

    def __init__(
        self,
        checkpoint: str | Path | Callable[[], Network],
        raw: LocalArrayIdentifier,
        output: LocalArrayIdentifier,
        config: PredictionConfig,
        shard: int = 0,
        percentiles: Mapping[str, float] | None = None,
    ) -> None:
        self.checkpoint = checkpoint
        self.raw = raw
        self.output = output
        self.config = config
        self.shard = shard
        self.percentiles = percentiles
        self._opened: _Opened | None = None

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_opened": None}

    def open(self) -> None:
        """Load the network and open the arrays."""
        torch.set_num_threads(self.config.torch_threads)
        torch.backends.cudnn.benchmark = False
        torch.backends.cudnn.deterministic = True
        torch.backends.cudnn.allow_tf32 = self.config.autocast
        torch.backends.cuda.matmul.allow_tf32 = self.config.autocast
        if callable(self.checkpoint):
            network = self.checkpoint()
        else:
            network = load_network(self.checkpoint, self.config.descriptors)
        raw = ZarrArray.open_from_array_identifier(self.raw)
        output = ZarrArray.open_from_array_identifier(self.output, mode="a")
        network.check_raw(raw)
        network = network.fit_intensity(raw, self.percentiles)
        device = choose_device(self.config.device, self.shard, "prediction.device")
        if device.type == "cpu":
            # All tiles need arrays of the same sizes.
            keep_freed_memory()
        self._opened = _Opened(TiledNetwork(network, self.config, device), raw, output)

    def close(self) -> None:
        """Release the network and the arrays."""
        self._opened = None

    def __call__(self, block: Block) -> None:
        """Predict one block."""
        self._write(block, self._compute(block, self._read(block)))

    def stream(self, blocks: Sequence[Block]) -> Iterator[tuple[Block, Exception | None]]:
        """Predict blocks, and yield each after it is written, with its exception or None."""
        with ThreadPoolExecutor(1, "read") as reader, ThreadPoolExecutor(1, "write") as writer:
            remaining = iter(blocks)
            reads: deque[tuple[Block, Future[np.ndarray]]] = deque()
            writes: deque[tuple[Block, Future[None]]] = deque()
            try:
                while True:
                    while len(reads) < _AHEAD and (block := next(remaining, None)) is not None:
                        reads.append((block, reader.submit(self._read, block)))
                    if not reads:
                        break
                    block, read = reads.popleft()
                    try:
                        values = self._compute(block, read.result())
                    except Exception as error:
                        yield block, error
                        continue
                    writes.append((block, writer.submit(self._write, block, values)))
                    while writes and (writes[0][1].done() or len(writes) > _AHEAD):
                        yield _outcome_of(*writes.popleft())
                while writes:
                    yield _outcome_of(*writes.popleft())
            finally:
                for _, future in reads:
                    future.cancel()

    def _use(self) -> _Opened:
        assert self._opened is not None, "call open first"
        return self._opened

    def _box(self, block: Block) -> Box:
        raw = self._use().raw
        begin = (block.write_roi.begin - raw.roi.begin) / raw.voxel_size
        size = block.write_roi.shape / raw.voxel_size
        return tuple(int(b) for b in begin), tuple(int(b + s) for b, s in zip(begin, size))

    def _read(self, block: Block) -> np.ndarray:
        tiles, raw, _ = self._use()
        begin, end = tiles.read_box(self._box(block))
        shape = Coordinate(e - b for b, e in zip(begin, end)) * raw.voxel_size
        roi = Roi(raw.roi.begin + Coordinate(begin) * raw.voxel_size, shape)
        data = raw.read(roi, "reflect")
        check_values(data, "raw", str(raw), roi)
        if data.ndim == raw.dims:
            data = data[np.newaxis]
        return tiles.network.normalize(data)

    def _compute(self, block: Block, data: np.ndarray) -> np.ndarray:
        tiles, _, output = self._use()
        box = self._box(block)
        shape = (tiles.network.num_channels, *(e - b for b, e in zip(*box)))
        stored = np.empty(shape, dtype=output.dtype)
        try:
            for where, values in tiles.run(data, box):
                self._check_finite(values, block)
                stored[(slice(None), *where)] = convert_to_stored(
                    values, output.dtype, output.value_scale, output.value_offset
                )
        except torch.cuda.OutOfMemoryError as error:
            raise ResourceError(
                f"a tile of {tuple(tiles.tile)} voxels does not fit into the memory of the GPU; set a smaller "
                "prediction.tile_size"
            ) from error
        return stored

    def _check_finite(self, values: np.ndarray, block: Block) -> None:
        """Raise an error for a prediction that is not finite: it would be stored as an arbitrary number."""
        finite = np.isfinite(values)
        if finite.all():
            return
        names = self._use().tiles.network.channel_names
        channels = [name for name, is_finite in zip(names, finite) if not is_finite.all()]
        network = "the network" if callable(self.checkpoint) else f"the checkpoint {self.checkpoint}"
        raise DamagedDataError(
            f"{network} predicts {finite.size - int(finite.sum())} values that are not finite (NaN or infinite) for "
            f"block {block.index}, {block.write_roi}, in the channels {', '.join(map(str, channels))}",
            fix="train again with a smaller learning rate or another seed, or choose an earlier prediction.checkpoint",
        )

    def _write(self, block: Block, values: np.ndarray) -> None:
        self._use().output[block.write_roi] = values


def convert_to_stored(values: np.ndarray, dtype: DTypeLike, scale: float, offset: float) -> np.ndarray:
    """Return values as they are stored: scaled, rounded and clipped to the limits of the dtype.

    Args:
        values: float32; may be changed in place.
        dtype: dtype of the array.
        scale, offset: ``value = stored * scale + offset``.

    Examples:
        >>> convert_to_stored(np.array([0.0, 0.5, 2.0], np.float32), np.uint8, 1 / 255, 0.0)
        array([  0, 128, 255], dtype=uint8)
    """
    kind = np.dtype(dtype)
    if kind.kind not in "iu":
        if kind == np.float16:
            limit = np.float32(np.finfo(np.float16).max)
            np.clip(values, -limit, limit, out=values)
        return values.astype(kind)
    values -= np.float32(offset)
    values *= np.float32(1.0 / scale)
    np.rint(values, out=values)
    limits = np.iinfo(kind)
    np.clip(values, limits.min, limits.max, out=values)
    return values.astype(kind)


def _outcome_of(block: Block, future: "Future[None]") -> tuple[Block, Exception | None]:
    error = future.exception()
    if error is not None and not isinstance(error, Exception):
        raise error
    return block, error
