"""Arrays in world units over numpy, zarr and N5; array types; OME-Zarr metadata; pyramids."""

from attacca.arrays.array import Array, Fill
from attacca.arrays.identifier import LocalArrayIdentifier
from attacca.arrays.numpy_array import NumpyArray
from attacca.arrays.types import (
    AnnotationArray,
    ArrayType,
    BinaryArray,
    DistanceArray,
    EmbeddingArray,
    IntensitiesArray,
    Mask,
    ProbabilityArray,
)
from attacca.arrays.zarr_array import ZarrArray
from attacca.arrays.zarr_opening import ZarrArrayConfig

__all__ = [
    "AnnotationArray",
    "Array",
    "ArrayType",
    "BinaryArray",
    "DistanceArray",
    "EmbeddingArray",
    "Fill",
    "IntensitiesArray",
    "LocalArrayIdentifier",
    "Mask",
    "NumpyArray",
    "ProbabilityArray",
    "ZarrArray",
    "ZarrArrayConfig",
]
