"""Model files: a trained network in one portable file.

A model file is a ZIP file with the members

- ``model.json``: the description, see ``attacca.config.model_description``;
- ``weights/NAME.npy``: the weights, each an array in NumPy's format.

It holds no pickles. Equal networks with equal descriptions have equal bytes.
"""

import io
import json
import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from attacca.architectures.operations import count_weights
from attacca.archive import open_archive, write_archive
from attacca.checkpoint import digest_network, save_checkpoint
from attacca.config.model_description import (
    MEMBER,
    ModelDescription,
    parse_model_description,
    read_model_description,
)
from attacca.errors import ModelFileError, summarize_error
from attacca.fingerprint import canonical_json

_WEIGHTS, _SUFFIX = "weights/", ".npy"
_LARGEST_WEIGHT = 16 << 30
_LONGEST_HEADER = 10_000


def write_model_file(path: Path, description: ModelDescription, weights: Mapping[str, torch.Tensor]) -> None:
    """Write a model file atomically.

    Args:
        path: the file.
        description: everything besides the weights.
        weights: state of the model's chain.
    """
    values = json.loads(canonical_json(description.model_dump(mode="json")))
    for key in ("parts", "extensions"):
        # Earlier versions of Attacca do not know these keys.
        if not values[key]:
            del values[key]
    # A description that the reader refuses must not be written.
    parse_model_description(values, path)
    members = {MEMBER: (json.dumps(values, indent=1, sort_keys=True, allow_nan=False) + "\n").encode()}
    for name, value in weights.items():
        buffer = io.BytesIO()
        array = np.ascontiguousarray(value.detach().cpu().numpy()).reshape(tuple(value.shape))
        np.lib.format.write_array(buffer, array, version=(1, 0), allow_pickle=False)
        members[f"{_WEIGHTS}{name}{_SUFFIX}"] = buffer.getvalue()
    write_archive(path, members)


def read_model_weights(path: Path) -> dict[str, torch.Tensor]:
    """Return the weights in a model file by name, on the CPU.

    Raises:
        MissingInputError: the file does not exist.
        ModelFileError: the file is damaged or unsafe, or the weights are not those of its description.
    """
    description, _ = read_model_description(path)
    description.require_extensions(path)
    weights: dict[str, torch.Tensor] = {}
    with open_archive(path) as archive:
        for member in archive.sizes:
            if member == MEMBER:
                continue
            if not (member.startswith(_WEIGHTS) and member.endswith(_SUFFIX)):
                raise ModelFileError(
                    f"{path}: found the member {member!a}, expected {MEMBER} and arrays below {_WEIGHTS}"
                )
            name = member.removeprefix(_WEIGHTS).removesuffix(_SUFFIX)
            weights[name] = _read_array(archive.read(member, _LARGEST_WEIGHT), path, member)
    _check_size(description, weights, path)
    if digest_network(description.model_dump(mode="json"), weights) != description.weights_digest:
        raise ModelFileError(
            f"{path}: the weights, or the network in the description, are not those that the training wrote",
            fix="copy the file again from its source",
        )
    return weights


def unpack_model(path: Path, checkpoint: Path) -> ModelDescription:
    """Write the network in a model file as a checkpoint, and return the description.

    Raises:
        MissingInputError: the model file does not exist.
        ModelFileError: it is damaged or unsafe.
    """
    description, _ = read_model_description(path)
    keys = ("task", "architecture", "voxel_size", "num_in_channels", "seed", "training")
    values = description.model_dump(mode="json")
    save_checkpoint(
        checkpoint,
        {
            "configuration": canonical_json({key: values[key] for key in keys}),
            "model": read_model_weights(path),
            "ema": None,
            "intensity": values["intensity"],
            "class_counts": values["class_counts"],
            "iteration": int(description.checkpoint["iteration"]),
        },
    )
    return description


def _read_array(content: bytes, path: Path, member: str) -> torch.Tensor:
    """Return an array in NumPy's format as a tensor. Its header decides nothing before it was checked."""
    stream = io.BytesIO(content)
    try:
        if np.lib.format.read_magic(stream) != (1, 0):
            raise ValueError("found another version of NumPy's format, expected 1.0")
        shape, is_fortran, dtype = np.lib.format.read_array_header_1_0(stream, _LONGEST_HEADER)
        if dtype.kind not in "fiub" or dtype.hasobject or is_fortran:
            raise ValueError(f"found {dtype}, expected numbers in the order of C")
        if math.prod(shape) * dtype.itemsize != len(content) - stream.tell():
            raise ValueError(f"found {len(content) - stream.tell()} bytes, expected the shape {shape}")
        array = np.frombuffer(content, dtype, offset=stream.tell()).reshape(shape)
        return torch.from_numpy(array.copy())
    except (
        ValueError,
        TypeError,
        EOFError,
        OverflowError,
        SyntaxError,
        RecursionError,
        MemoryError,
    ) as error:
        raise ModelFileError(
            f"{path}: {member!a} is not an array of weights: {summarize_error(error)}"
        ) from None


def _check_size(description: ModelDescription, weights: Mapping[str, torch.Tensor], path: Path) -> None:
    """Raise an error if the network in the description has more weights than the file.

    Raises:
        ModelFileError: a network of this size would be created before its weights are compared.
    """
    stored = sum(weight.numel() for weight in weights.values())
    try:
        expected = count_weights(description.read_architecture(), description.num_in_channels)
        expected = max(expected, description.read_task().num_channels)
    except (OverflowError, ValueError, ZeroDivisionError) as error:
        raise ModelFileError(f"{path}: the network cannot be created: {summarize_error(error)}") from None
    if expected > stored:
        raise ModelFileError(
            f"{path}: found {stored} weights, but the network in the description has more than {expected}"
        )
