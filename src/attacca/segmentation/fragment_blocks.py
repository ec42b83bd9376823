"""Step 1 of the segmentation, block by block: writes fragments."""

from dataclasses import dataclass

import numpy as np

from attacca.arrays import Array, ZarrArray
from attacca.blockwise import Block
from attacca.config.segmentation import FragmentSettings
from attacca.errors import VolumeError
from attacca.segmentation.box import Box
from attacca.segmentation.compiled import compile_kernels
from attacca.segmentation.fragments import make_fragments
from attacca.segmentation.frame import Frame
from attacca.segmentation.inputs import read_affinities, read_mask


@dataclass(frozen=True)
class FragmentBlocks:
    """Block function that writes fragments.

    Args:
        prediction: affinities, channels first; for connected components also a single channel.
        output: writable uint64 array without channels; its ROI is the volume.
        neighborhood: offset of each channel, in voxels; empty for a single channel that is not an affinity.
        settings: method and parameters.
        mask: voxels of value 0 stay 0; None segments all.
    """

    prediction: Array
    output: ZarrArray
    neighborhood: tuple[tuple[int, ...], ...]
    settings: FragmentSettings
    mask: Array | None = None

    @property
    def frame(self) -> Frame:
        """The volume."""
        return Frame(self.output.roi, self.output.voxel_size)

    def open(self) -> None:
        """Compile the kernels before the first block is timed."""
        compile_kernels(self.settings.chain)

    def __call__(self, block: Block) -> None:
        """Write the fragments of one block.

        Raises:
            VolumeError: the output extends beyond the prediction.
        """
        frame = self.frame
        if not self.prediction.roi.contains(self.output.roi):
            raise VolumeError(
                f"{self.output} extends beyond its prediction {self.prediction}; predict the whole region first"
            )
        fragments = make_fragments(
            self._read, frame, frame.to_box(block.write_roi), self.neighborhood, self.settings
        )
        self.output[block.write_roi] = fragments.reshape(block.write_roi.shape / frame.voxel_size)

    def _read(self, box: Box) -> tuple[np.ndarray, np.ndarray | None]:
        """Read affinities, or the values of a single channel, and the mask of a box."""
        frame, array = self.frame, self.prediction
        mask = read_mask(self.mask, frame, box)
        num_channels = len(self.neighborhood) or 1
        is_quantized = self.settings.quantised or array.dtype == np.uint8
        if self.neighborhood and is_quantized:
            return read_affinities(array, frame, box, num_channels), mask
        values = array.read_values(frame.to_roi(box))
        values = values[:num_channels] if array.num_channels else values
        return values.reshape(num_channels, *box.shape), mask
