"""Base of the tuners, which choose parameters of the segmentation on validation volumes."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from attacca.arrays import LocalArrayIdentifier, ZarrArray
from attacca.progress import Progress


@dataclass(frozen=True)
class ValidationPrediction:
    """The prediction of a validation volume, and the labels with which its segmentations are compared.

    Attributes:
        name: name of the volume.
        prediction: the prediction.
        labels: location of the ground truth.
        mask: location of the mask; voxels of value 0 do not count. None without a mask.
        unlabelled: label value of voxels without annotation; None if all voxels are annotated.
    """

    name: str
    prediction: ZarrArray
    labels: LocalArrayIdentifier
    mask: LocalArrayIdentifier | None = None
    unlabelled: int | None = None


class Tuner(ABC):
    """Choice of the parameters by which the predictions of a task become segmentations."""

    @abstractmethod
    def tune(
        self,
        volumes: Sequence[ValidationPrediction],
        scratch: Path,
        *,
        num_workers: int = 1,
        progress: Progress | None = None,
    ) -> dict[str, Any]:
        """Score each candidate on all validation volumes and choose the best one.

        Args:
            volumes: validation volumes; without any, the middle of the candidates is chosen.
            scratch: directory for intermediate arrays.
            num_workers: threads; the choice does not depend on it.
            progress: counts one unit per candidate and volume, if the tuner reports them.

        Returns:
            Plain values: ``chosen`` (the parameters), ``table`` (a row per candidate with its parameters and mean
            scores; empty without a choice or a validation volume), and ``criterion``.

        Raises:
            ConfigurationError: the criterion does not exist, or no candidate has a score.
        """

    @abstractmethod
    def score_candidates(
        self, volumes: Sequence[ValidationPrediction], criterion: str, scratch: Path
    ) -> list[float]:
        """Return the mean of a criterion over the volumes for each candidate; nan if undefined.

        Args:
            volumes: validation volumes.
            criterion: name of the score.
            scratch: directory for intermediate arrays.
        """
