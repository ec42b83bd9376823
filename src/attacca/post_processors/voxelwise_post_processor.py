"""Post-processors that apply an operation to each voxel, and the block function that does it."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from funlib.geometry import Coordinate

from attacca.arrays import Array, LocalArrayIdentifier, ZarrArray
from attacca.blockwise import Block, BlockGrid, run_blocks
from attacca.evaluators.compared_arrays import open_array
from attacca.post_processors.post_processor import P, PostProcessor, round_up
from attacca.post_processors.voxel_operations import Function, VoxelOperation
from attacca.segmentation.inputs import find_chunk_size


class VoxelwisePostProcessor(PostProcessor[P]):
    """Base of the post-processors that apply the same operation to each voxel."""

    @abstractmethod
    def create_operation(self, parameters: P) -> VoxelOperation:
        """Return the operation that the parameters describe."""

    def write_output(
        self, parameters: P, output: LocalArrayIdentifier, num_workers: int, block_size: Coordinate
    ) -> Array:
        """Apply the operation to the whole prediction."""
        prediction, operation = self.require_prediction(), self.create_operation(parameters)
        size = Coordinate(block_size[-prediction.dims :]) * prediction.voxel_size
        block = round_up(size, find_chunk_size(prediction))
        array = create_output(prediction, output, operation, block, overwrite=True)
        run_blocks(
            PostProcessBlocks(prediction, output, operation),
            BlockGrid(array.roi, block, array.voxel_size),
            num_workers=num_workers,
        )
        return array


def create_output(
    prediction: Array,
    identifier: LocalArrayIdentifier,
    operation: VoxelOperation,
    write_size: Sequence[int],
    overwrite: bool = False,
) -> ZarrArray:
    """Create the output array of an operation, or open an existing array with the same metadata.

    Args:
        prediction: the output gets its region, voxel size and unit.
        identifier: location of the output.
        operation: decides dtype and channels.
        write_size: world size of a block that is written at once.
        overwrite: replace an existing array.

    Raises:
        VolumeError: the operation does not fit the prediction.
    """
    operation.prepare(prediction)
    num_channels = operation.num_channels(prediction)
    return ZarrArray.create_from_array_identifier(
        identifier,
        prediction.spatial_axes if num_channels is None else prediction.axes,
        prediction.roi,
        num_channels,
        prediction.voxel_size,
        operation.dtype(prediction),
        write_size=write_size,
        chunk_size=find_chunk_size(prediction),
        overwrite=overwrite,
        unit=prediction.unit,
    )


@dataclass
class PostProcessBlocks:
    """Block function that applies an operation to each voxel of a prediction; it can be pickled.

    Attributes:
        prediction: the prediction, or its location.
        output: location of the output array, which exists (``create_output``).
        operation: ``Threshold``, ``Argmax`` or ``Constant``.
    """

    prediction: LocalArrayIdentifier | Array
    output: LocalArrayIdentifier
    operation: VoxelOperation

    def __post_init__(self) -> None:
        self._opened: tuple[Array, ZarrArray, Function] | None = None

    def __getstate__(self) -> dict[str, object]:
        return self.__dict__ | {"_opened": None}

    def open(self) -> None:
        """Open the arrays, once per process."""
        prediction = open_array(self.prediction)
        output = ZarrArray.open_from_array_identifier(self.output, mode="a")
        self._opened = (prediction, output, self.operation.prepare(prediction))

    def __call__(self, block: Block) -> None:
        """Compute and write ``block.write_roi``."""
        if self._opened is None:
            self.open()
        assert self._opened is not None
        prediction, output, function = self._opened
        output[block.write_roi] = function(prediction[block.write_roi])
