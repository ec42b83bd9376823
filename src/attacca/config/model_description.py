"""Description of a trained network in its model file: the member ``model.json``.

The description has all that an application needs besides the weights. It is read without loading the weights, and
without trust: its size is limited, it is JSON, and each value is checked by a model.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError, model_validator

from attacca.archive import is_archive, open_archive
from attacca.config.about import AboutConfig, check_texts
from attacca.config.architecture import ArchitectureConfig, read_architecture_config
from attacca.config.base import StrictModel
from attacca.config.evaluation import EvaluationConfig
from attacca.config.intensity import check_intensity_values
from attacca.config.prediction import PredictionConfig
from attacca.config.segmentation import SegmentationConfig
from attacca.config.task import TaskConfig
from attacca.config.tasks import SubTaskConfig
from attacca.errors import AttaccaError, ModelFileError, summarize_error
from attacca.extensions import Kind, require_extension
from attacca.fingerprint import digest_file

MEMBER = "model.json"
"""Name of the description in a model file."""
FORMAT = "attacca model"
VERSION = 1
"""Version of the format. It is raised when an older Attacca could misread a new file."""

_LARGEST = 64 << 20
_TASK: TypeAdapter[TaskConfig] = TypeAdapter(SubTaskConfig)

Plain = dict[str, Any]
OWN_PARTS = ("predictor", "loss")
"""Extensions of a task that belong to the network, in ``task``; the others are in ``parts``."""
Positive = Annotated[int, Field(ge=1)]


class VolumeDescription(StrictModel):
    """A volume on which a network was trained or its settings were chosen."""

    name: str
    purpose: Literal["train", "validate"]
    shape: list[Positive]
    """Voxels of the image."""
    dtype: str
    """Type of the raw values."""
    digest: str
    """Identity of the imported volume."""


class ExtensionDescription(StrictModel):
    """An extension that a model needs. Its code is not in the model file."""

    kind: Kind
    name: str
    """Value of ``type`` in its section."""
    source: str
    """Name of the file or package."""
    digest: str
    """Digest of its source code."""

    @property
    def problem(self) -> str:
        """The reason why the extension cannot be used; empty if it is loaded."""
        needed = f"it needs the {self.kind.replace('_', '-')} '{self.name}' of {self.source} (digest {self.digest[:12]})"
        try:
            loaded = require_extension(self.kind, self.name).source
        except AttaccaError:
            return f"{needed}, which is not loaded"
        if loaded.digest == self.digest:
            return ""
        return f"{needed}, but {loaded.name} with the digest {loaded.digest[:12]} is loaded"


class ModelDescription(StrictModel):
    """Content of ``model.json``, version 1. Sections of the configuration are plain values, as in the training's run."""

    format: Literal["attacca model"] = "attacca model"
    version: Literal[1] = 1
    written_by: str
    """Versions of Attacca and PyTorch."""
    name: Annotated[str, Field(max_length=200)]
    """Name of the run."""
    about: AboutConfig = AboutConfig()
    """Description, authors, license, citation."""
    task: Plain
    """The predicted quantity."""
    parts: Plain = Field(default={})
    """Sections of the task's post-processor and evaluator, if they are extensions."""
    architecture: Plain
    """The network."""
    extensions: list[ExtensionDescription] = Field(default=[])
    """Extensions in all sections."""
    voxel_size: list[Positive]
    """Voxel size of the training volumes, in ``unit``."""
    unit: str
    num_in_channels: Positive
    """Channels of the raw data."""
    intensity: dict[str, float]
    """Raw values that become -1 and 1: ``minimum`` and ``maximum``; or percentiles of each volume: ``low_percentile`` and
    ``high_percentile``."""
    class_counts: Any = None
    """Counts from which the loss was balanced."""
    prediction: Plain
    """Settings of the prediction."""
    segmentation: Plain | None = None
    """Candidate settings of tasks that segment by agglomeration."""
    evaluation: Plain
    """Conventions of the scores."""
    chosen: Plain
    """Settings of the segmentation that were chosen on the validation volumes."""
    tuning: Plain
    """The other results of the choice: the criterion, and each candidate with its scores on the validation volumes."""
    checkpoint: Plain
    """The checkpoint: iteration, criterion and its value."""
    training: Plain
    """Settings of the training, without paths."""
    seed: int
    volumes: list[VolumeDescription]
    """Volumes for training and validation."""
    derived_from: str | None = None
    """Digest of the model or weights from which the training started; null for random weights."""
    weights_digest: str
    """Digest of the weights, the network, the task and the intensities: see ``attacca.checkpoint``."""

    @model_validator(mode="after")
    def _check_sections(self) -> "ModelDescription":
        if self.missing_extensions:
            # Their models are needed to check the sections.
            return self
        # The task is not pretrained: that would name a file of the reader's machine.
        sections: dict[str, tuple[Callable[[Any], Any], Any]] = {
            "task": (_TASK.validate_python, {**self.task, **self.parts}),
            "architecture": (read_architecture_config, self.architecture),
            "prediction": (PredictionConfig.model_validate, self.prediction),
            "evaluation": (EvaluationConfig.model_validate, self.evaluation),
        }
        if self.segmentation is not None:
            sections["segmentation"] = (SegmentationConfig.model_validate, self.segmentation)
        for name, (read, section) in sections.items():
            try:
                read(section)
            except ValidationError as error:
                first = error.errors(include_url=False)[0]
                key = _join_key((name, *first["loc"]))
                raise ValueError(f"{key}: {first['msg']}") from None
        try:
            check_intensity_values(self.intensity)
        except ValueError as error:
            raise ValueError(f"intensity: {error}") from None
        if not len(self.voxel_size) == len(self.read_architecture().input_shape):
            raise ValueError("voxel_size: its number of axes is not that of architecture.input_shape")
        return self

    def read_task(self) -> TaskConfig:
        """Return the task."""
        return _TASK.validate_python({**self.task, **self.parts})

    def read_architecture(self) -> ArchitectureConfig:
        """Return the network."""
        return read_architecture_config(self.architecture)

    @property
    def missing_extensions(self) -> list[str]:
        """Descriptions of the extensions without which the model cannot be used."""
        return [extension.problem for extension in self.extensions if extension.problem]

    def require_extensions(self, path: Path) -> None:
        """Raise an error if an extension is not loaded. Code never comes from a model file.

        Args:
            path: the model file, for messages.

        Raises:
            ModelFileError: names the extensions and their files.
        """
        missing = self.missing_extensions
        if missing:
            files = ", ".join(sorted({ascii(extension.source)[1:-1] for extension in self.extensions}))
            raise ModelFileError(
                f"{path} was made with extensions: {'; '.join(missing)}",
                fix=f"get {files} from the author of the model, read it (its code runs on this machine), and name it under "
                "'extensions' of the configuration, or with --extension on the command line",
            )


def digest_of_weights(path: Path) -> str | None:
    """Return the identity of a file of weights: the digest of a model file, or that of the bytes; None without a file."""
    if not path.is_file():
        return None
    return read_model_description(path)[1] if is_model_file(path) else digest_file(path)


def is_model_file(path: Path) -> bool:
    """Return whether a file is a model file, in any version of the format."""
    return is_archive(path, MEMBER)


def read_model_description(path: Path) -> tuple[ModelDescription, str]:
    """Return the description in a model file, and its digest, which identifies the model.

    The description has the digest of the weights, so two files of the same digest hold the same weights.

    Raises:
        MissingInputError: the file does not exist.
        ModelFileError: the file is damaged, unsafe or written by a newer Attacca, or it is not a model file.
    """
    try:
        state = path.stat()
        stamp = (state.st_mtime_ns, state.st_size)
    except OSError:
        stamp = (0, 0)
    return _read(path, stamp)


@lru_cache(maxsize=64)
def _read(path: Path, stamp: tuple[int, int]) -> tuple[ModelDescription, str]:
    with open_archive(path) as archive:
        if MEMBER not in archive.sizes:
            found = ", ".join(ascii(name)[1:-1] for name in list(archive.sizes)[:3]) or "no members"
            raise ModelFileError(
                f"{path} is not a model file of Attacca: found a ZIP file with {found}, expected {MEMBER}",
                fix="a model in another format is imported with: attacca model import",
            )
        content = archive.read(MEMBER, _LARGEST)
    try:
        values = json.loads(content, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise ModelFileError(f"{path}: {MEMBER} is not JSON: {summarize_error(error)}") from None
    return parse_model_description(values, path), hashlib.sha256(content).hexdigest()


def parse_model_description(values: Any, path: Path) -> ModelDescription:
    """Return the description for the values of ``model.json``.

    Args:
        values: plain values.
        path: the model file, for messages.

    Raises:
        ModelFileError: the values have another format or a newer version, or are invalid.
    """
    found = values.get("format") if isinstance(values, dict) else None
    if found != FORMAT:
        raise ModelFileError(
            f"{path} is not a model file of Attacca: found format {found!a}, expected '{FORMAT}'"
        )
    version = values.get("version")
    if isinstance(version, int) and version > VERSION:
        raise ModelFileError(
            f"{path}: found version {version} of the format, written by {str(values.get('written_by'))[:100]!a}, but this "
            f"Attacca reads versions up to {VERSION}",
            fix="install a newer Attacca",
        )
    try:
        check_texts(values)
        return ModelDescription.model_validate(values)
    except (ValidationError, RecursionError, OverflowError, ValueError) as error:
        reason = summarize_error(error)
        if isinstance(error, ValidationError):
            first = error.errors(include_url=False)[0]
            key = _join_key(first["loc"])
            reason = (f"{key}: " if key else "") + first["msg"].removeprefix("Value error, ")
        raise ModelFileError(
            f"{path}: {MEMBER} is invalid: {ascii(reason[:300])[1:-1]}",
            fix="use the version of Attacca that wrote it, or copy the file again from its source",
        ) from None


def _join_key(location: Sequence[int | str]) -> str:
    """Return the key of a place in a description, without the tags of alternatives, which are in brackets."""
    return ".".join(str(part) for part in location if not str(part).startswith("["))


def _refuse_constant(text: str) -> None:
    raise ValueError(f"found {text}, expected a finite number")
