"""The block function that predicts a volume.

While the network computes one block, the next one is read and the one before is written. A block counts as
finished when it is written.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from funlib.geometry import Coordinate, Roi

from attacca.arrays.identifier import LocalArrayIdentifier
from attacca.arrays.zarr_array import ZarrArray
from attacca.blockwise import Block
from attacca.config.prediction import PredictionConfig
from attacca.device import choose_device
from attacca.errors import ResourceError
from attacca.prediction.network import Network
from attacca.prediction.tiles import Box, TiledNetwork

# Blocks that are read before the network needs them, and that wait to be written.
_AHEAD = 2


class PredictBlocks:
    """Predicts blocks of a volume; for ``attacca.blockwise.run_blocks``.

    Args:
        checkpoint: file of the trained network; or a function without arguments that returns a ``Network``.
        raw: the raw data.
        output: the array that ``create_prediction_array`` made.
        config: how to predict.
        shard: index of the shard; shards on a machine with several GPUs use one after the other.
    """

    def __init__(
        self,
        checkpoint: str | Path | Callable[[], Network],
        raw: LocalArrayIdentifier,
        output: LocalArrayIdentifier,
        config: PredictionConfig,
        shard: int = 0,
    ) -> None:
        self.checkpoint = checkpoint
        self.raw = raw
        self.output = output
        self.config = config
        self.shard = shard
        self._tiles: TiledNetwork | None = None
        self._raw: Any = None
        self._output: Any = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_tiles": None, "_raw": None, "_output": None}

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
            from attacca.prediction.load import load_network

            network = load_network(self.checkpoint)
        self._raw = ZarrArray.open_from_array_identifier(self.raw)
        self._output = ZarrArray.open_from_array_identifier(self.output, mode="a")
        network.check_raw(self._raw)
        self._tiles = TiledNetwork(
            network, self.config, choose_device(self.config.device, self.shard, "prediction.device")
        )

    def close(self) -> None:
        """Let go of the network and the arrays."""
        self._tiles = self._raw = self._output = None

    def __call__(self, block: Block) -> None:
        """Predict one block."""
        self._write(block, self._compute(block, self._read(block)))

    def stream(self, blocks: Sequence[Block]) -> Iterator[tuple[Block, Exception | None]]:
        """Predict blocks; yields each when it is written, with what it raised or None."""
        with ThreadPoolExecutor(1, "read") as reader, ThreadPoolExecutor(1, "write") as writer:
            waiting = iter(blocks)
            reads: deque[tuple[Block, Future[np.ndarray]]] = deque()
            writes: deque[tuple[Block, Future[None]]] = deque()
            try:
                while True:
                    while len(reads) < _AHEAD and (block := next(waiting, None)) is not None:
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
                        yield _ended(*writes.popleft())
                while writes:
                    yield _ended(*writes.popleft())
            finally:
                for _, future in reads:
                    future.cancel()

    def _box(self, block: Block) -> Box:
        begin = (block.write_roi.begin - self._raw.roi.begin) / self._raw.voxel_size
        size = block.write_roi.shape / self._raw.voxel_size
        return tuple(int(b) for b in begin), tuple(int(b + s) for b, s in zip(begin, size))

    def _read(self, block: Block) -> np.ndarray:
        assert self._tiles is not None
        begin, end = self._tiles.read_box(self._box(block))
        voxel_size = self._raw.voxel_size
        shape = Coordinate(e - b for b, e in zip(begin, end)) * voxel_size
        data = self._raw.read(Roi(self._raw.roi.begin + Coordinate(begin) * voxel_size, shape), "reflect")
        if data.ndim == self._raw.dims:
            data = data[np.newaxis]
        return self._tiles.network.normalize(data)

    def _compute(self, block: Block, raw: np.ndarray) -> np.ndarray:
        assert self._tiles is not None
        box = self._box(block)
        stored = np.empty(
            (self._tiles.network.num_channels, *(e - b for b, e in zip(*box))), dtype=self._output.dtype
        )
        try:
            for where, values in self._tiles.run(raw, box):
                stored[(slice(None), *where)] = to_stored(
                    values, self._output.dtype, self._output.value_scale, self._output.value_offset
                )
        except torch.cuda.OutOfMemoryError as error:
            raise ResourceError(
                f"the GPU's memory does not hold a tile of {tuple(self._tiles.tile)} voxels: choose a "
                "smaller "
                "prediction.tile_size"
            ) from error
        return stored

    def _write(self, block: Block, values: np.ndarray) -> None:
        self._output[block.write_roi] = values


def to_stored(values: np.ndarray, dtype: Any, scale: float, offset: float) -> np.ndarray:
    """Values as they are stored: rounded and cut off at the limits of integers; ``values`` may be changed."""
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


def _ended(block: Block, future: "Future[None]") -> tuple[Block, Exception | None]:
    error = future.exception()
    if error is not None and not isinstance(error, Exception):
        raise error
    return block, error
