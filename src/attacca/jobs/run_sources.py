"""Files of a run that are not volumes: model file, initial weights, points of samples, skeletons.

The parameters of a stage hold digests of these files, because a path changes when a project is moved. Jobs receive the
paths through the environment.
"""

from pathlib import Path

from pydantic import BaseModel

from attacca.config.evaluation import RunLengthConfig
from attacca.config.run import RunConfig

SOURCES_VARIABLE = "ATTACCA_SOURCES"
"""Environment variable with the files of each run."""


class RunSources(BaseModel):
    """Files of a run.

    Attributes:
        model: model file that the run applies.
        weights: file from which the weights of the network are initialized.
        points: files with the points of samples, by training volume.
        skeletons: directory of the skeletons for the expected run length.
    """

    model: Path | None = None
    weights: Path | None = None
    points: dict[str, Path] = {}
    skeletons: Path | None = None


def list_sources(run: RunConfig) -> RunSources:
    """Return the files of a run."""
    sampling, run_length = run.training.sampling.items(), run.evaluation.run_length
    return RunSources(
        model=None if run.model is None else run.model.path,
        weights=run.task.initial_weights,
        points={volume: section.points for volume, section in sampling if section.points is not None},
        skeletons=run_length.skeletons if isinstance(run_length, RunLengthConfig) else None,
    )
