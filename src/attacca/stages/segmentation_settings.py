"""What the tuner chose, as the stages that apply it read it."""

from collections.abc import Sequence
from typing import Any

from funlib.geometry import Coordinate

from attacca.arrays import ZarrArray
from attacca.config.segmentation import AgglomerationSettings, FragmentSettings
from attacca.errors import ConfigurationError
from attacca.stages.manifest import Manifest

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


def segmentation_block(prediction: ZarrArray, block_size: Sequence[int] | None) -> Coordinate:
    """World size of a block of the segmentation: whole in chunks of the prediction, along axes that it cuts.

    Args:
        prediction: whose chunks count.
        block_size: voxels, as the configuration gives them; about 2 million by default. A small volume has smaller
            chunks; a size that covers it along an axis is fine there, whatever its chunks.

    Raises:
        ConfigurationError: the size is no multiple of the chunks.
    """
    chunk = prediction.chunk_size
    if block_size is None:
        voxels: int = 1
        for size in chunk / prediction.voxel_size:
            voxels *= int(size)
        factor = max(1, round((BLOCK_VOXELS / voxels) ** (1 / prediction.dims)))
        return chunk * factor
    size = Coordinate(block_size) * prediction.voxel_size
    if size.dims == chunk.dims:
        covering = (s >= extent for s, extent in zip(size, prediction.roi.shape))
        size = Coordinate(-(-s // c) * c if whole else s for s, c, whole in zip(size, chunk, covering))
    if size.dims != chunk.dims or any(s % c for s, c in zip(size, chunk)):
        voxels_of_chunk = tuple(chunk / prediction.voxel_size)
        nearest = [max(1, round(s / c)) * n for s, c, n in zip(size, chunk, voxels_of_chunk)]
        raise ConfigurationError(
            f"segmentation.block_size: found {list(block_size)}, expected multiples of the prediction's chunks of "
            f"{list(voxels_of_chunk)} voxels; {nearest} would do"
        )
    return size


def plain(settings: Any) -> dict[str, Any]:
    """Settings as JSON values."""
    return dict(settings.model_dump(mode="json"))
