"""Predicts and segments a volume; started, killed and started again by a test.

``python killed_job.py DIRECTORY WORKERS``
"""

import os
import sys
from pathlib import Path

import numpy as np
import torch
from funlib.geometry import Coordinate, Roi

from attacca.architectures.intensity import Intensity
from attacca.arrays import LocalArrayIdentifier, ZarrArray
from attacca.blockwise import Ledger, run_blocks, segment_blockwise
from attacca.config.prediction import PredictionConfig
from attacca.errors import AttaccaError
from attacca.prediction import Network, PredictBlocks, create_prediction_array, make_prediction_grid

CONFIG = PredictionConfig(block_size=[8, 8, 8])
SEGMENT = """
import cc3d, os, time
def segment_function(input_array, block):
    time.sleep(0.05)
    with open({log!r}, "a") as file:
        file.write(str(block.index) + chr(10))
    return cc3d.connected_components(input_array[block.read_roi][0] > 140, connectivity=6)
"""


class Watched(PredictBlocks):
    """Notes each block that is computed, and each that was recorded before."""

    def _compute(self, block, raw):
        ledger = Ledger(str(self._use().output), {"test": 1}, self.num_blocks)
        note(self.directory / ("repeated" if ledger.done()[block.index] else "predicted"), block.index)
        return super()._compute(block, raw)


def note(path, index):
    """Append a line, in one piece."""
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(handle, f"{index}\n".encode())
    os.close(handle)


def network():
    """A convolution that mixes neighbors."""
    torch.manual_seed(0)
    convolution = torch.nn.Conv3d(1, 1, 5, bias=False)
    torch.nn.init.uniform_(convolution.weight, 0, 0.2)
    model = torch.nn.Sequential(convolution, torch.nn.Sigmoid())
    return Network(model, 1, ("membrane",), Coordinate(2, 2, 2), Coordinate(1, 1, 1), Intensity(0.0, 255.0))


def main(directory, workers):
    """Run both stages; returns the exit code."""
    directory = Path(directory)
    source, predicted, segments = (
        LocalArrayIdentifier(directory / f"{name}.zarr", "s0") for name in ("raw", "prediction", "segments")
    )
    raw = ZarrArray.create_from_array_identifier(
        source, ["z", "y", "x"], Roi((40, 0, 8), (33 * 4, 26 * 4, 25 * 4)), None, (4, 4, 4), np.uint8
    )
    raw[raw.roi] = np.random.default_rng(0).integers(0, 256, raw.data.shape, dtype=np.uint8)
    output = create_prediction_array(predicted, raw, network(), CONFIG)
    grid = make_prediction_grid(raw, network(), CONFIG)
    function = Watched(network, source, predicted, CONFIG)
    function.directory, function.num_blocks = directory, len(grid)
    (directory / "function.py").write_text(SEGMENT.format(log=str(directory / "segmented")))
    write = Roi(raw.roi.begin, (32, 32, 32))
    try:
        run_blocks(
            function, grid, ledger=Ledger(str(output), {"test": 1}, len(grid)), num_workers=int(workers)
        )
        segment_blockwise(
            directory / "function.py",
            Coordinate(8, 8, 8),
            raw.roi,
            write.grow((8, 8, 8), (8, 8, 8)),
            write,
            int(workers),
            input_array_identifier=predicted,
            output_array_identifier=segments,
        )
    except AttaccaError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
