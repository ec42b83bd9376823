"""A picture of what the network sees and answers."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import torch

from attacca.atomic import write_bytes
from attacca.training.device import Place
from attacca.training.pipeline import Batch


def write_snapshot(path: Path, batch: Batch, prediction: np.ndarray, channel_names: list[str]) -> None:
    """Store the central section of a batch's first sample.

    The file has ``raw`` (channels, y, x) between 0 and 1, over the whole input, and ``target``, ``weight``
    and ``prediction`` (channels, y, x), all float32, over the output; ``offset`` (y, x) is where the output
    begins in the input, in voxels; ``channel_names`` are those of the prediction.

    Args:
        path: an ``.npz`` file; equal arrays give equal bytes.
        batch: a batch of the loader.
        prediction: (batch, channels, spatial), in the range of evaluation mode.
        channel_names: one for each channel.
    """
    raw, target = batch["raw"][0], batch["target"][0]
    offset = [(a - b) // 2 for a, b in zip(raw.shape[1:], target.shape[1:])][-2:]
    arrays = {
        "raw": (_central_section(raw) + 1) / 2,
        "target": _central_section(target),
        "weight": _central_section(batch["weight"][0]),
        "prediction": _central_section(prediction[0]),
        "offset": np.array(offset),
        "channel_names": np.array(channel_names),
    }
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    write_bytes(path, buffer.getvalue())


def _central_section(data: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(data[:, data.shape[1] // 2] if data.ndim == 4 else data)


def predict_batch(model: Any, batch: Batch, place: Place) -> np.ndarray:
    """The model's answer to a batch in evaluation mode, (batch, channels, spatial) float32."""
    training = model.training
    model.eval()
    with torch.inference_mode():
        answer = model(place.tensor(batch["raw"])).float().cpu().numpy()
    model.train(training)
    return answer
