"""What the tuner chose, as the stages that apply it read it."""

import math
from collections.abc import Sequence
from typing import Any

from funlib.geometry import Coordinate

from attacca.arrays import ZarrArray
from attacca.config.segmentation import AgglomerationSettings, FragmentSettings
from attacca.errors import ConfigurationError
from attacca.manifest import Manifest

# Voxels of a block, about, where the configuration gives no size: some seconds of work, some hundred megabytes.
BLOCK_VOXELS = 2_000_000


def chosen_fragments(tuning: Manifest) -> FragmentSettings:
    """How fragments are made."""
    return FragmentSettings.model_validate(tuning.result["chosen"]["fragments"])


def chosen_agglomeration(tuning: Manifest) -> AgglomerationSettings:
    """How fragments become segments."""
    return AgglomerationSettings.model_validate(tuning.result["chosen"]["agglomeration"])


def neighborhood_of(tuning: Manifest) -> tuple[tuple[int, ...], ...]:
    """Offsets of the prediction's affinity channels, in voxels."""
    return tuple(tuple(offset) for offset in tuning.parameters["task"]["neighborhood"])


class BlockSizeError(ConfigurationError):
    """A ``segmentation.block_size`` on which blocks do not fit the prediction's chunks.

    Args:
        found: what the configuration says.
        expected: what would do.
    """

    def __init__(self, found: str, expected: str) -> None:
        super().__init__(f"segmentation.block_size: found {found}, expected {expected}")
        self.found, self.expected = found, expected


def block_voxels(
    chunk: Sequence[int], extent: Sequence[int], block_size: Sequence[int] | None
) -> tuple[int, ...]:
    """Voxels of a block of the segmentation: whole in chunks of the prediction, along axes that it cuts.

    Args:
        chunk: voxels of a chunk of the prediction.
        extent: voxels of the volume.
        block_size: voxels, as the configuration gives them; about 2 million by default. A small volume has smaller
            chunks; a size that covers it along an axis is fine there, whatever its chunks.

    Raises:
        BlockSizeError: the size is no multiple of the chunks.
    """
    if block_size is None:
        factor = max(1, round((BLOCK_VOXELS / math.prod(chunk)) ** (1 / len(chunk))))
        return tuple(factor * size for size in chunk)
    if len(block_size) != len(chunk):
        raise BlockSizeError(f"{list(block_size)}", f"{len(chunk)} numbers, one for each axis")
    size = [-(-s // c) * c if s >= whole else s for s, c, whole in zip(block_size, chunk, extent)]
    if any(s % c for s, c in zip(size, chunk)):
        nearest = [max(1, round(s / c)) * c for s, c in zip(size, chunk)]
        raise BlockSizeError(
            f"{list(block_size)}",
            f"multiples of the prediction's chunks of {list(chunk)} voxels; {nearest} would do",
        )
    return tuple(size)


def segmentation_block(prediction: ZarrArray, block_size: Sequence[int] | None) -> Coordinate:
    """World size of a block of the segmentation; see ``block_voxels``."""
    voxel_size = prediction.voxel_size
    chunk, extent = prediction.chunk_size / voxel_size, prediction.roi.shape / voxel_size
    return Coordinate(block_voxels(tuple(chunk), tuple(extent), block_size)) * voxel_size


def plain(settings: Any) -> dict[str, Any]:
    """Settings as JSON values."""
    return dict(settings.model_dump(mode="json"))
