"""The whole of a configuration file: volumes, runs, where results go, and how jobs are executed."""

import re
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from attacca.config.architecture import ArchitectureConfig
from attacca.config.base import StrictModel
from attacca.config.evaluation import EvaluationConfig
from attacca.config.execution import ExecutionConfig
from attacca.config.prediction import PredictionConfig
from attacca.config.segmentation import SegmentationConfig
from attacca.config.tasks import AnyTaskConfig
from attacca.config.training import TrainingConfig
from attacca.config.volumes import VolumeConfig
from attacca.layout import RESERVED_NAMES

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


def _checked_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"found the name '{name}', expected letters, digits, '_' and '-' alone: it becomes a directory's name"
        )
    if name in RESERVED_NAMES:
        raise ValueError(f"the name '{name}' is taken by Attacca's own results; choose another")
    return name


Name = Annotated[str, AfterValidator(_checked_name)]


class RunVolumes(StrictModel):
    """Which volumes a run uses, and for what. A volume has one purpose only."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, populate_by_name=True
    )

    train: list[str] = Field(min_length=1)
    """Volumes with labels that the network learns from."""
    validation: list[str] = Field(default=[], alias="validate")
    """Volumes with labels on which the best checkpoint and the parameters of the segmentation are chosen."""
    test: list[str] = Field(default=[])
    """Volumes that are predicted and segmented; scored where they have labels. Nothing is ever chosen on them."""

    @model_validator(mode="after")
    def _one_purpose_each(self) -> "RunVolumes":
        purposes: dict[str, str] = {}
        for purpose, names in (("train", self.train), ("validate", self.validation), ("test", self.test)):
            for name in names:
                if name in purposes:
                    raise ValueError(
                        f"found '{name}' under {purposes[name]} and under {purpose}; a volume that is learnt from or "
                        "chosen on cannot also measure the result: give each volume one purpose (a part of it can be "
                        "a volume of its own, with 'roi')"
                    )
                purposes[name] = purpose
        return self

    @property
    def used(self) -> list[str]:
        """All volumes of the run: those of the training, then those that are segmented."""
        return [*self.train, *self.segmented]

    @property
    def segmented(self) -> list[str]:
        """Volumes that are predicted and segmented: those of validation, then those of the test."""
        return [*self.validation, *self.test]


class RunConfig(StrictModel):
    """One experiment: a task, learnt on some volumes, applied to others."""

    task: AnyTaskConfig
    """What is predicted, and how the prediction becomes a segmentation and scores."""
    architecture: ArchitectureConfig = Field(default_factory=ArchitectureConfig)
    """The network."""
    training: TrainingConfig = Field(default_factory=TrainingConfig)
    """How the network learns."""
    volumes: RunVolumes
    """Which volumes are learnt from, chosen on, and segmented."""
    prediction: PredictionConfig = Field(default_factory=PredictionConfig)
    """How volumes are predicted, block by block."""
    segmentation: SegmentationConfig = Field(default_factory=SegmentationConfig)
    """How affinities become segments, and which settings are tried on the validation volumes."""
    evaluation: EvaluationConfig = Field(default_factory=EvaluationConfig)
    """How segmentations are compared with labels."""
    seed: int = Field(default=0, ge=0, lt=2**31)
    """The source of every random draw of this run."""


class Configuration(StrictModel):
    """A configuration file."""

    results: Path = Path("results")
    """Directory of everything that is computed, relative to this file."""
    storage: str | None = None
    """Where arrays stand, when not in ``results``: a directory, or an address such as ``s3://bucket/project``.
    Manifests, scores and the report stay in ``results``."""
    volumes: dict[Name, VolumeConfig] = Field(min_length=1)
    """Volumes by name."""
    runs: dict[Name, RunConfig] = Field(min_length=1)
    """Runs by name; all are computed, and compared in the report."""
    execution: ExecutionConfig = Field(default_factory=ExecutionConfig)
    """How jobs are executed; nothing here changes a result."""
