"""Models of a configuration file and of its runs."""

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from attacca.config.about import AboutConfig
from attacca.config.applied_model import ModelSource
from attacca.config.architecture import ArchitectureConfig, UNetConfig
from attacca.config.base import StrictModel
from attacca.config.evaluation import EvaluationConfig
from attacca.config.execution import ExecutionConfig
from attacca.config.export import ExportConfig
from attacca.config.prediction import PredictionConfig
from attacca.config.segmentation import SegmentationConfig
from attacca.config.tasks import AnyTaskConfig
from attacca.config.training import TrainingConfig
from attacca.config.volumes import VolumeConfig
from attacca.layout import RESERVED_NAMES

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_LONGEST_NAME = 100

WRITABLE_SCHEMES = ("s3", "gs")
"""Kinds of addresses to which arrays can be written."""


def _check_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"found the name '{name}', expected letters, digits, '_' and '-' only: it becomes the name of a directory"
        )
    if len(name) > _LONGEST_NAME:
        raise ValueError(
            f"found a name of {len(name)} characters, expected at most {_LONGEST_NAME}: it becomes a part of file names"
        )
    if name in RESERVED_NAMES:
        raise ValueError(f"the name '{name}' is taken by Attacca's own results; choose another")
    return name


Name = Annotated[str, AfterValidator(_check_name)]


def _check_results(value: Any) -> Any:
    if isinstance(value, str) and (not value.strip() or "://" in value):
        raise ValueError(
            f"found '{value}', expected a local directory; arrays may be stored elsewhere: storage"
        )
    return value


def _check_storage(text: str) -> str:
    expected = "expected a directory, or an address with a bucket such as s3://bucket/project"
    scheme, mark, rest = text.partition("://")
    if not text.strip() or (not mark and scheme in ("s3:", "s3:/", "gs:", "gs:/")):
        raise ValueError(f"found '{text}', {expected}")
    if mark and scheme not in WRITABLE_SCHEMES:
        raise ValueError(f"found '{text}', to which arrays cannot be written, {expected}")
    if mark and not rest.partition("/")[0]:
        raise ValueError(f"found '{text}', which names no bucket, {expected}")
    return text


class RunVolumes(StrictModel):
    """Volumes of a run by purpose. Each volume has one purpose."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, populate_by_name=True
    )

    train: list[str] = Field(default=[])
    """Volumes with labels on which the network is trained. They are left out to apply a ``model`` as it is."""
    validation: list[str] = Field(default=[], alias="validate")
    """Volumes with labels on which the best checkpoint and the settings of the segmentation are chosen."""
    test: list[str] = Field(default=[])
    """Volumes that are predicted and segmented, and scored if they have labels. No setting is chosen on them."""

    @model_validator(mode="after")
    def _one_purpose_each(self) -> "RunVolumes":
        purposes: dict[str, str] = {}
        for purpose, names in (("train", self.train), ("validate", self.validation), ("test", self.test)):
            for name in names:
                if name in purposes:
                    raise ValueError(
                        f"found '{name}' under {purposes[name]} and under {purpose}; a volume used for training or "
                        "for choosing settings cannot also measure the result: give each volume one purpose (with "
                        "'roi', a part of it can be a volume of its own)"
                    )
                purposes[name] = purpose
        return self

    @property
    def used(self) -> list[str]:
        """All volumes of the run: the training volumes, then the segmented ones."""
        return [*self.train, *self.segmented]

    @property
    def segmented(self) -> list[str]:
        """Volumes that are predicted and segmented: the validation volumes, then the test volumes."""
        return [*self.validation, *self.test]


def _require_task_or_model(schema: dict[str, Any]) -> None:
    schema["required"] = [key for key in schema["required"] if key != "task"]
    schema["anyOf"] = [{"required": ["task"]}, {"required": ["model"]}]


def _allow_path(schema: dict[str, Any]) -> None:
    schema["anyOf"].insert(0, {"type": "string", "format": "path"})


def _choose_head_kernel(values: Any) -> Any:
    """Return the values of a run whose network has one voxel along an axis, with a last convolution of one voxel."""
    if not isinstance(values, dict):
        return values
    task, architecture = values.get("task"), values.get("architecture")
    shape = architecture.get("input_shape") if isinstance(architecture, dict) else None
    if not isinstance(task, dict) or not isinstance(shape, list | tuple) or 1 not in shape:
        return values
    if isinstance(task.get("sub_task_config"), dict):
        inner = _choose_head_kernel({**values, "task": task["sub_task_config"]})["task"]
        return {**values, "task": {**task, "sub_task_config": inner}}
    if task.get("type") in ("one_hot", "hot_distance") and task.get("kernel_size") is None:
        return {**values, "task": {**task, "kernel_size": 1}}
    return values


class RunConfig(StrictModel):
    """One experiment: a task, trained on some volumes and applied to others."""

    model_config = ConfigDict(json_schema_extra=_require_task_or_model)

    model: ModelSource | None = Field(default=None, json_schema_extra=_allow_path)
    """A trained network that is applied instead of training one (``docs/models.md``): the path of a model file. Its
    task, network, prediction, segmentation and evaluation become those of the run; keys that the run sets replace those
    of the model, as far as they do not belong to the network. With training volumes, the training starts from it."""

    _head_kernel = model_validator(mode="before")(_choose_head_kernel)

    task: AnyTaskConfig
    """The predicted quantity, and the path from the prediction to a segmentation and scores."""
    architecture: ArchitectureConfig = Field(default_factory=UNetConfig)
    """The network."""
    training: TrainingConfig = Field(default_factory=TrainingConfig)
    """Training of the network."""
    volumes: RunVolumes
    """Volumes for training, for validation, and for segmentation."""
    prediction: PredictionConfig = Field(default_factory=PredictionConfig)
    """Prediction of volumes, block by block."""
    segmentation: SegmentationConfig = Field(default_factory=SegmentationConfig)
    """Segmentation of affinities, and the settings that are tried on the validation volumes."""
    evaluation: EvaluationConfig = Field(default_factory=EvaluationConfig)
    """Comparison of segmentations with labels."""
    export: ExportConfig = Field(default_factory=ExportConfig)
    """Formats of other programs in which segmentations are written."""
    about: AboutConfig = Field(default_factory=AboutConfig)
    """Description of the model in its file: authors, license, citation."""
    seed: int = Field(default=0, ge=0, lt=2**31)
    """Seed of all random draws of this run."""

    @field_validator("volumes")
    @classmethod
    def _check_purposes(cls, volumes: RunVolumes, info: ValidationInfo) -> RunVolumes:
        # An invalid model is missing among the data, and reported by itself.
        has_model = info.data.get("model", ...) is not None
        if not volumes.train and not has_model:
            raise ValueError(
                "found train without volumes, expected at least 1 item; to apply a trained network as it is, name its "
                "file under 'model' of the run"
            )
        if not volumes.used:
            raise ValueError(
                "found no volume, expected volumes under test (or validate) to which the model is applied"
            )
        return volumes

    @property
    def predicted_channels(self) -> int:
        """Channels of a stored prediction: without descriptors, one for each offset of affinities."""
        channels = self.task.num_channels
        return channels if self.prediction.descriptors else len(self.task.offsets) or channels

    @property
    def is_trained(self) -> bool:
        """True if the run trains a network; False if it applies a model as it is."""
        return bool(self.volumes.train)


class Configuration(StrictModel):
    """A configuration file."""

    results: Annotated[Path, BeforeValidator(_check_results)] = Path("results")
    """Directory of all results, relative to this file."""
    storage: Annotated[str, AfterValidator(_check_storage)] | None = None
    """Location of the arrays, if they are not stored in ``results``: a directory, or a URL such as
    ``s3://bucket/project``. Manifests, scores and the report are stored in ``results``."""
    zarr_format: Literal[2, 3] = 3
    """Zarr format of new arrays: 3 (OME-Zarr 0.5, one file per block: a shard of chunks of about 64 voxels a side), or 2
    (OME-Zarr 0.4, one file per chunk, for programs that cannot read format 3). Existing arrays are kept: delete the results
    to convert them."""
    extensions: list[Path] = Field(default=[])
    """Python files with parts of your own (``docs/extending.md``): a predictor, loss, architecture, post-processor,
    evaluator or reader, which sections of this file select by its ``type``. Their code runs on this machine."""
    volumes: dict[Name, VolumeConfig] = Field(min_length=1)
    """Volumes by name."""
    runs: dict[Name, RunConfig] = Field(min_length=1)
    """Runs by name; all are computed, and compared in the report."""
    execution: ExecutionConfig = Field(default_factory=ExecutionConfig)
    """Execution of jobs; these settings change no result."""
