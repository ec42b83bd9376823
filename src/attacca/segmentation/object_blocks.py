"""Objects of a segmentation, measured block by block."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from attacca.arrays import Array
from attacca.atomic import replace_file
from attacca.blockwise import Block
from attacca.segmentation.frame import Frame
from attacca.segmentation.object_table import ObjectTable, measure_objects


@dataclass(frozen=True)
class ObjectBlocks:
    """Block function that writes the table of the objects in a block.

    Args:
        segmentation: ids without channels; its ROI is the volume.
        directory: directory of the tables.
    """

    segmentation: Array
    directory: str

    def __call__(self, block: Block) -> None:
        """Write the table of one block."""
        frame = Frame(self.segmentation.roi, self.segmentation.voxel_size)
        box = frame.to_box(block.write_roi)
        source = box.grow((0, 0, 0), (1, 1, 1)).intersect(frame.box)
        labels = np.asarray(self.segmentation[frame.to_roi(source)]).reshape(source.shape)
        arrays = measure_objects(labels, box.begin, box.shape).to_arrays()
        with replace_file(locate_object_table(self.directory, block.index)) as file:
            np.savez_compressed(file, **arrays)  # type: ignore[arg-type]


def locate_object_table(directory: str | Path, index: int) -> Path:
    """Return the file of a block. Each directory holds the files of a thousand blocks.

    >>> locate_object_table("objects", 1234).as_posix()
    'objects/000001/234.npz'
    """
    return Path(directory) / f"{index // 1000:06d}" / f"{index % 1000:03d}.npz"


def load_object_table(directory: str | Path, index: int) -> ObjectTable:
    """Read the table of a block."""
    return ObjectTable.load(locate_object_table(directory, index))
