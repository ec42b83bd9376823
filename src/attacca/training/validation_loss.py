"""Loss on the validation volumes during training."""

import math
from dataclasses import replace

import numpy as np
import torch
from funlib.geometry import Coordinate

from attacca.gp.seeds import mix_seed
from attacca.losses import Loss, compute_loss
from attacca.training.job import TrainingVolume
from attacca.training.object_points import find_object_points
from attacca.training.pipeline import Batch, SamplePipeline, SampleSpec
from attacca.training.training_device import TrainingDevice

# Validation samples have a separate range of the seeds.
_STREAM = -(2**40)


class ValidationLoss:
    """Mean loss of fixed samples of the validation volumes.

    Args:
        spec: specification of the training samples; augmentation and rejection are disabled.
        volumes: the validation volumes.
        loss: of the task.
    """

    def __init__(self, spec: SampleSpec, volumes: tuple[TrainingVolume, ...], loss: Loss) -> None:
        self._loss = loss
        crops = spec.training.validation.crops
        settings = spec.training.model_copy(update={"min_masked": 0.0, "reject_empty": 0.0, "batch_size": 1})
        # Regions and points of samples are those of training volumes.
        settings_of_volumes = settings.model_copy(update={"sampling": {}})
        points = find_object_points(volumes, settings_of_volumes, Coordinate(spec.output_shape))
        pipeline = SamplePipeline(
            replace(spec, volumes=volumes, training=settings, augment=False, object_points=points)
        )
        if crops is None:
            crops = _count_covering_samples(pipeline)
        self._samples: list[Batch] = []
        for number in range(crops):
            sample = pipeline.create_sample(mix_seed(spec.seed, _STREAM, number))
            self._samples.append({name: np.ascontiguousarray(array)[None] for name, array in sample.items()})
        pipeline.close()

    def measure(self, model: torch.nn.Module, device: TrainingDevice) -> float:
        """Return the mean loss of the samples, with the network in training mode (logits) but fixed batch statistics."""
        batch_norms = [m for m in model.modules() if isinstance(m, torch.nn.modules.batchnorm._BatchNorm)]
        training = model.training
        model.train()
        for module in batch_norms:
            module.eval()
        total = 0.0
        with torch.no_grad():
            for sample in self._samples:
                raw, target, weight = (
                    device.copy_to_device(sample[name]) for name in ("raw", "target", "weight")
                )
                with device.autocast():
                    total += float(compute_loss(self._loss, model(raw), target, weight))
        model.train(training)
        return total / len(self._samples)


def _count_covering_samples(pipeline: SamplePipeline) -> int:
    voxels = sum(math.prod(volume.labeled_roi.shape) for volume in pipeline.volumes)
    return max(1, -(-voxels // math.prod(pipeline.window.shape)))
