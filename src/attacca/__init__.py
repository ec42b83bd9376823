"""From electron-microscopy volumes and a few annotated cubes to an evaluated segmentation.

The workflow (``snakemake``) is the way for volumes of any size. For a cube, a script or a notebook, this module gives
the library in a few names:

- ``train``, ``predict_volume``, ``segment_volume``, ``evaluate``, and ``LabeledVolume``, an image with ground truth;
- arrays in world units: ``NumpyArray``, ``ZarrArray``, ``LocalArrayIdentifier``, ``Roi``, ``Coordinate``;
- configuration: ``AffinitiesTaskConfig`` and those of the other tasks, ``UNetConfig``, ``TrainingConfig``,
  ``PredictionConfig``, ``EvaluationConfig``, ``load_configuration``;
- parts of a task: ``create_task``, predictors, parameters of post-processors;
- bases of extensions (``docs/extending.md``): ``register``, ``Options``, ``LabelPredictor``, ``Loss``, ``Architecture``,
  ``ValuePostProcessor``, ``TableEvaluator``, ``Source``;
- ``segment_blockwise``, which applies a segmentation function to a volume of any size.

Names are loaded when they are first used, so that ``import attacca`` takes no time. ``docs/python.md`` shows a script.

Example:
    >>> import attacca
    >>> attacca.PredictionConfig(dtype="float32").augmentation
    'none'
"""

from typing import TYPE_CHECKING

from attacca.cache_directories import choose_cache_directories
from attacca.lazy_names import import_lazily
from attacca.version import __version__ as __version__

# Numba and Matplotlib read their variables when they are imported.
choose_cache_directories()

if TYPE_CHECKING:
    from funlib.geometry import Coordinate as Coordinate
    from funlib.geometry import Roi as Roi

    from attacca.api import LabeledVolume as LabeledVolume
    from attacca.api import evaluate as evaluate
    from attacca.api import predict_volume as predict_volume
    from attacca.api import segment_volume as segment_volume
    from attacca.api import train as train
    from attacca.architectures import Architecture as Architecture
    from attacca.arrays import Array as Array
    from attacca.arrays import LocalArrayIdentifier as LocalArrayIdentifier
    from attacca.arrays import NumpyArray as NumpyArray
    from attacca.arrays import ZarrArray as ZarrArray
    from attacca.arrays.metadata import GridMetadata as GridMetadata
    from attacca.blockwise.segment import segment_blockwise as segment_blockwise
    from attacca.config.architecture import UNetConfig as UNetConfig
    from attacca.config.evaluation import EvaluationConfig as EvaluationConfig
    from attacca.config.extension import ArchitectureOptions as ArchitectureOptions
    from attacca.config.extension import Options as Options
    from attacca.config.load import load_configuration as load_configuration
    from attacca.config.prediction import PredictionConfig as PredictionConfig
    from attacca.config.segmentation import SegmentationConfig as SegmentationConfig
    from attacca.config.tasks import AffinitiesTaskConfig as AffinitiesTaskConfig
    from attacca.config.tasks import DistanceTaskConfig as DistanceTaskConfig
    from attacca.config.tasks import HotDistanceTaskConfig as HotDistanceTaskConfig
    from attacca.config.tasks import InnerDistanceTaskConfig as InnerDistanceTaskConfig
    from attacca.config.tasks import OneHotTaskConfig as OneHotTaskConfig
    from attacca.config.tasks import PretrainedTaskConfig as PretrainedTaskConfig
    from attacca.config.training import TrainingConfig as TrainingConfig
    from attacca.errors import AttaccaError as AttaccaError
    from attacca.evaluators import ContingencyTable as ContingencyTable
    from attacca.evaluators import Criterion as Criterion
    from attacca.evaluators import EvaluationScores as EvaluationScores
    from attacca.evaluators import GroundTruthRules as GroundTruthRules
    from attacca.evaluators import TableEvaluator as TableEvaluator
    from attacca.extensions import register as register
    from attacca.losses import Loss as Loss
    from attacca.post_processors import ArgmaxPostProcessorParameters as ArgmaxPostProcessorParameters
    from attacca.post_processors import PostProcessorParameters as PostProcessorParameters
    from attacca.post_processors import ThresholdPostProcessorParameters as ThresholdPostProcessorParameters
    from attacca.post_processors import ValuePostProcessor as ValuePostProcessor
    from attacca.post_processors import WatershedPostProcessorParameters as WatershedPostProcessorParameters
    from attacca.predictors import AffinitiesPredictor as AffinitiesPredictor
    from attacca.predictors import DistancePredictor as DistancePredictor
    from attacca.predictors import HotDistancePredictor as HotDistancePredictor
    from attacca.predictors import InnerDistancePredictor as InnerDistancePredictor
    from attacca.predictors import LabelPredictor as LabelPredictor
    from attacca.predictors import OneHotPredictor as OneHotPredictor
    from attacca.predictors import Predictor as Predictor
    from attacca.progress import Progress as Progress
    from attacca.tasks import Task as Task
    from attacca.tasks import create_task as create_task
    from attacca.volumes.readers.source import Source as Source

# The names above by module; tests/test_facade.py compares the two.
_NAMES = {
    "funlib.geometry": ("Coordinate", "Roi"),
    "attacca.api": ("LabeledVolume", "evaluate", "predict_volume", "segment_volume", "train"),
    "attacca.architectures": ("Architecture",),
    "attacca.arrays": ("Array", "LocalArrayIdentifier", "NumpyArray", "ZarrArray"),
    "attacca.arrays.metadata": ("GridMetadata",),
    "attacca.blockwise.segment": ("segment_blockwise",),
    "attacca.config.architecture": ("UNetConfig",),
    "attacca.config.evaluation": ("EvaluationConfig",),
    "attacca.config.extension": ("ArchitectureOptions", "Options"),
    "attacca.config.load": ("load_configuration",),
    "attacca.config.prediction": ("PredictionConfig",),
    "attacca.config.segmentation": ("SegmentationConfig",),
    "attacca.config.tasks": (
        "AffinitiesTaskConfig",
        "DistanceTaskConfig",
        "HotDistanceTaskConfig",
        "InnerDistanceTaskConfig",
        "OneHotTaskConfig",
        "PretrainedTaskConfig",
    ),
    "attacca.config.training": ("TrainingConfig",),
    "attacca.errors": ("AttaccaError",),
    "attacca.evaluators": (
        "ContingencyTable",
        "Criterion",
        "EvaluationScores",
        "GroundTruthRules",
        "TableEvaluator",
    ),
    "attacca.extensions": ("register",),
    "attacca.losses": ("Loss",),
    "attacca.post_processors": (
        "ArgmaxPostProcessorParameters",
        "PostProcessorParameters",
        "ThresholdPostProcessorParameters",
        "ValuePostProcessor",
        "WatershedPostProcessorParameters",
    ),
    "attacca.predictors": (
        "AffinitiesPredictor",
        "DistancePredictor",
        "HotDistancePredictor",
        "InnerDistancePredictor",
        "LabelPredictor",
        "OneHotPredictor",
        "Predictor",
    ),
    "attacca.progress": ("Progress",),
    "attacca.tasks": ("Task", "create_task"),
    "attacca.volumes.readers.source": ("Source",),
}
_MODULES = {name: module for module, names in _NAMES.items() for name in names}

__all__ = sorted(_MODULES)


__getattr__ = import_lazily(__name__, _MODULES)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
