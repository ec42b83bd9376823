"""Post-processors: from a prediction to a segmentation, with the parameters to try."""

from attacca.post_processors.argmax_post_processor import ArgmaxPostProcessor, ArgmaxPostProcessorParameters
from attacca.post_processors.dummy_post_processor import DummyPostProcessor, DummyPostProcessorParameters
from attacca.post_processors.post_processor import PostProcessor
from attacca.post_processors.post_processor_parameters import PostProcessorParameters
from attacca.post_processors.threshold_post_processor import (
    ThresholdPostProcessor,
    ThresholdPostProcessorParameters,
)
from attacca.post_processors.value_post_processor import ValuePostProcessor
from attacca.post_processors.voxel_operations import Argmax, Constant, Threshold
from attacca.post_processors.voxelwise_post_processor import (
    PostProcessBlocks,
    VoxelwisePostProcessor,
    create_output,
)
from attacca.post_processors.watershed_post_processor import WatershedPostProcessor
from attacca.post_processors.watershed_post_processor_parameters import WatershedPostProcessorParameters

__all__ = [
    "Argmax",
    "ArgmaxPostProcessor",
    "ArgmaxPostProcessorParameters",
    "Constant",
    "DummyPostProcessor",
    "DummyPostProcessorParameters",
    "PostProcessBlocks",
    "PostProcessor",
    "PostProcessorParameters",
    "Threshold",
    "ThresholdPostProcessor",
    "ThresholdPostProcessorParameters",
    "ValuePostProcessor",
    "VoxelwisePostProcessor",
    "WatershedPostProcessor",
    "WatershedPostProcessorParameters",
    "create_output",
]
