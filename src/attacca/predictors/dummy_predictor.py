"""Predictor of zeros, for tests of the machinery and for compatibility with DaCapo."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from attacca.arrays import Array
from attacca.arrays.types import EmbeddingArray
from attacca.predictors.class_balance import BalancedPart
from attacca.predictors.predictor import Predictor, create_array_like, create_model_with_head

if TYPE_CHECKING:
    from attacca.architectures.architecture import Architecture
    from attacca.model import Model


class DummyPredictor(Predictor):
    """Zeros as the target, ones as weights.

    Args:
        embedding_dims: number of channels.
    """

    def __init__(self, embedding_dims: int) -> None:
        self.embedding_dims = embedding_dims

    @property
    def output_array_type(self) -> EmbeddingArray:
        return EmbeddingArray(self.embedding_dims)

    @property
    def channel_names(self) -> list[str]:
        return [str(channel) for channel in range(self.embedding_dims)]

    @property
    def value_range(self) -> tuple[float, float]:
        return -1.0, 1.0

    def create_model(self, architecture: Architecture) -> Model:
        return create_model_with_head(architecture, self.embedding_dims)

    def create_target(self, gt: Array) -> Array:
        shape = gt.roi.shape / gt.voxel_size
        return create_array_like(gt, np.zeros((self.embedding_dims, *shape), dtype=np.float64))

    def balanced_parts(self, gt: Array, target: Array, mask: Array | None) -> Iterator[BalancedPart]:
        yield BalancedPart(slice(None), np.zeros(target.data.shape[1:], dtype=np.uint8), None, num_classes=0)

    def create_weight(
        self, gt: Array, target: Array, mask: Array | None, moving_class_counts: Any = None
    ) -> tuple[Array, Any]:
        return create_array_like(gt, np.ones(target.data.shape, dtype=np.float64)), None
