"""Configuration model of the ``prediction:`` section."""

from typing import Annotated, Literal

from pydantic import Field

from attacca.config.base import StrictModel

Positive = Annotated[int, Field(ge=1)]


class PredictionConfig(StrictModel):
    """Blockwise prediction of whole volumes."""

    checkpoint: Literal["best", "latest"] | int = "best"
    """Checkpoint to predict with: the best one on the validation volumes, the latest one, or that of an iteration."""
    block_size: list[Positive] | None = None
    """Size in voxels of a block that is written at once and stored in one file, ``[z, y, x]``; whole tiles. By default a
    block is one tile, and in a volume of more than 512 x 512 x 512 voxels about 4 million voxels."""
    tile_size: list[Positive] | None = None
    """Size in voxels of the network's output; a block is computed tile by tile. By default it follows from the
    network."""
    dtype: Literal["uint8", "float16", "float32"] = "uint8"
    """Dtype of stored values; ``uint8`` maps the value range of the task to 0 to 255, rounded."""
    descriptors: bool = False
    """Store local shape descriptors (``lsds`` of the task), too. They help the training; no stage reads them."""
    augmentation: Literal["none", "opposite", "flips", "all"] = "none"
    """Average over each tile and its copy that is mirrored along all axes at once (``opposite``, two copies), over all
    mirrored copies (``flips``, eight in 3D), or also over copies with y and x transposed (``all``)."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Device of the network; ``auto`` uses a GPU if there is one."""
    autocast: bool = False
    """Compute in half precision on GPUs: faster, but less exact."""
    torch_threads: Positive = 1
    """Threads of one network. It does not follow the number of cores, because the number of threads changes the last
    digits of sums; blocks are computed in parallel instead."""

    def copies(self, dims: int) -> int:
        """Return the number of copies of each tile that the network processes, for a number of spatial axes."""
        return {"none": 1, "opposite": 2, "flips": 1 << dims, "all": 1 << (dims + 1)}[self.augmentation]
