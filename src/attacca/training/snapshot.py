"""Snapshots of a batch and its prediction, for the report."""

from pathlib import Path

import numpy as np
import torch

from attacca.atomic import replace_file
from attacca.training.pipeline import Batch
from attacca.training.training_device import TrainingDevice


def write_snapshot(path: Path, batch: Batch, prediction: np.ndarray, channel_names: list[str]) -> None:
    """Write the central section of a batch's first sample.

    The file contains, all float32, ``raw`` (channels, y, x) between 0 and 1, over the whole input, and ``target``,
    ``weight`` and ``prediction`` (channels, y, x), over the output. ``offset`` (y, x) is that of the output in the
    input, in voxels; ``channel_names`` are those of the prediction.

    Args:
        path: ``.npz`` file; equal arrays give equal bytes.
        batch: batch of the loader.
        prediction: (batch, channels, *spatial), in the range of evaluation mode.
        channel_names: one per channel.
    """
    raw, target = batch["raw"][0], batch["target"][0]
    offset = [(a - b) // 2 for a, b in zip(raw.shape[1:], target.shape[1:])][-2:]
    arrays = {
        "raw": (_take_central_section(raw) + 1) / 2,
        "target": _take_central_section(target),
        "weight": _take_central_section(batch["weight"][0]),
        "prediction": _take_central_section(prediction[0]),
        "offset": np.array(offset),
        "channel_names": np.array(channel_names),
    }
    with replace_file(path) as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]


def _take_central_section(data: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(data[:, data.shape[1] // 2] if data.ndim == 4 else data)


def predict_batch(model: torch.nn.Module, batch: Batch, device: TrainingDevice) -> np.ndarray:
    """Return the prediction for a batch in evaluation mode, (batch, channels, *spatial), float32."""
    training = model.training
    model.eval()
    with torch.inference_mode():
        prediction = model(device.copy_to_device(batch["raw"])).float().cpu().numpy()
    model.train(training)
    return prediction
