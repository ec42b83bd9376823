"""A small model file that no workflow has to train."""

from pathlib import Path
from typing import Any

import torch

from attacca.architectures import create_architecture
from attacca.checkpoint import digest_network
from attacca.config.architecture import UNetConfig
from attacca.config.evaluation import EvaluationConfig
from attacca.config.model_description import ModelDescription
from attacca.config.prediction import PredictionConfig
from attacca.config.segmentation import SegmentationConfig
from attacca.config.tasks import read_task_config
from attacca.config.training import TrainingConfig
from attacca.model_file import write_model_file
from attacca.tasks import create_task

AFFINITIES = {"type": "affinities", "neighborhood": [[1, 0, 0], [0, 1, 0], [0, 0, 1], [3, 0, 0]]}
DISTANCES = {"type": "distance", "channels": ["cell"], "clip_distance": 50, "tol_distance": 10}


def describe_model(task: dict[str, Any] = AFFINITIES, **changes: Any) -> dict[str, Any]:
    """Return the values of ``model.json`` for a small network, with a wrong digest of the weights."""
    config = read_task_config(task)
    segmentation = SegmentationConfig(chain="seeded", threshold=[0.3, 0.6], min_size=[0, 20])
    chosen: dict[str, Any] = {"id": 1, "threshold": 0.25}
    if config.agglomerates:
        fragments = segmentation.fragment_candidates()[0]
        agglomeration = segmentation.agglomeration_candidates(fragments)[2]
        chosen = {
            "fragments": fragments.model_dump(mode="json"),
            "agglomeration": agglomeration.model_dump(mode="json"),
        }
    return {
        "format": "attacca model",
        "version": 1,
        "written_by": "attacca 0, torch 0",
        "name": "small",
        "task": config.model_dump(mode="json"),
        "architecture": UNetConfig(
            input_shape=(16, 16, 16), num_fmaps=2, downsample_factors=((2, 2, 2),)
        ).model_dump(mode="json"),
        "voxel_size": [8, 8, 8],
        "unit": "nanometer",
        "num_in_channels": 1,
        "intensity": {"minimum": 0.0, "maximum": 255.0},
        "prediction": PredictionConfig().model_dump(mode="json"),
        "segmentation": segmentation.model_dump(mode="json") if config.agglomerates else None,
        "evaluation": EvaluationConfig().model_dump(mode="json"),
        "chosen": chosen,
        "tuning": {"criterion": "voi", "table": []},
        "checkpoint": {"iteration": 6, "criterion": "loss", "value": 0.5, "higher_is_better": False},
        "training": TrainingConfig(iterations=6).portable(),
        "seed": 0,
        "volumes": [
            {"name": "cube", "purpose": "train", "shape": [32, 32, 32], "dtype": "uint8", "digest": "0" * 64}
        ],
        "weights_digest": "0" * 64,
        **changes,
    }


def create_weights(values: dict[str, Any]) -> dict[str, torch.Tensor]:
    """Return random weights of the network that a description describes."""
    config = UNetConfig.model_validate(values["architecture"])
    torch.manual_seed(1)
    architecture = create_architecture(config, len(config.input_shape), values["num_in_channels"])
    model = create_task(read_task_config(values["task"])).create_model(architecture)
    return dict(model.chain.state_dict())


def make_model_file(path: Path, task: dict[str, Any] = AFFINITIES, **changes: Any) -> Path:
    """Write a model file with random weights, and return its path."""
    values = describe_model(task, **changes)
    weights = create_weights(values)
    values["weights_digest"] = digest_network(values, weights)
    write_model_file(path, ModelDescription.model_validate(values), weights)
    return path
