"""How volumes are predicted."""

from typing import Annotated, Literal

from pydantic import Field

from attacca.config.base import StrictModel

Positive = Annotated[int, Field(ge=1)]


class PredictionConfig(StrictModel):
    """Blockwise prediction of whole volumes."""

    checkpoint: Literal["best", "latest"] | int = "best"
    """Which checkpoint predicts: the best on the validation volumes, the last, or that of an iteration."""
    block_size: list[Positive] | None = None
    """Size in voxels of a block that is written at once, ``[z, y, x]``; chosen from the network by default."""
    tile_size: list[Positive] | None = None
    """Size in voxels of what the network puts out in one go; a block is computed tile by tile. Chosen from the network
    by default."""
    dtype: Literal["uint8", "float16", "float32"] = "uint8"
    """How values are stored; ``uint8`` spreads the value range of the task over 0 to 255, rounded."""
    augmentation: Literal["none", "flips", "all"] = "none"
    """Average over mirrored copies of each tile (``flips``), or also over those with y and x exchanged (``all``)."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where the network runs; ``auto`` takes a GPU where there is one."""
    autocast: bool = False
    """Compute in half precision on GPUs: faster, and less exact."""
    torch_threads: Positive = 1
    """Threads of one network. The number of threads changes sums in the last digits, so it is fixed here and does not
    follow the number of cores; blocks are computed side by side instead."""

    def copies(self, dims: int) -> int:
        """How often each tile of a volume with so many spatial axes goes through the network."""
        return {"none": 1, "flips": 2**dims, "all": 2 ** (dims + 1)}[self.augmentation]
