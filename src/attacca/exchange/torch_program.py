"""Network of a model file as a program of ``torch.export``, which PyTorch runs without Attacca.

The file (``.pt2``) is a ZIP file. Besides the program, it holds ``attacca.json`` with the meaning of inputs and outputs
among its extra files, and Attacca's own model file.
"""

import io
import json
import warnings
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from attacca.atomic import write_bytes
from attacca.errors import ModelFileError, summarize_error
from attacca.exchange.attached_model import ATTACHED
from attacca.exchange.portable_network import PortableNetwork, open_portable_network
from attacca.version import __version__

METADATA = "attacca.json"
"""Name of the extra file."""

_LARGEST_BATCH = 1024
_MOST_STEPS = 4096
_TOLERANCE = 1e-5


def write_torch_program(model: Path, target: Path) -> None:
    """Write the network of a model file as a program of ``torch.export``.

    Batch size and spatial shape are dynamic, in steps of the network, unless the network has a fixed input shape.

    Args:
        model: the model file. The extensions that it needs have to be loaded.
        target: the program; replaced if it exists.

    Raises:
        ModelFileError: the model file cannot be used, or PyTorch cannot export its network.
    """
    portable = open_portable_network(model)
    program = _export(portable, model)
    for node in program.graph.nodes:
        # They hold paths of this machine.
        node.meta.pop("stack_trace", None)
    smallest = _check(portable, program, model)
    buffer = io.BytesIO()
    metadata = json.dumps(describe_network(portable, smallest), indent=1, sort_keys=True, allow_nan=False)
    torch.export.save(program, buffer, extra_files={METADATA: metadata})
    with zipfile.ZipFile(buffer, "a", zipfile.ZIP_STORED) as archive:
        # PyTorch requires all members to be in one directory.
        directory = archive.namelist()[0].partition("/")[0]
        archive.writestr(zipfile.ZipInfo(f"{directory}/{ATTACHED}"), model.read_bytes())
    write_bytes(target, buffer.getvalue())


def describe_network(portable: PortableNetwork, smallest: Sequence[int]) -> dict[str, Any]:
    """Return the meaning of inputs and outputs of a network as plain values.

    Args:
        portable: the network.
        smallest: spatial shape of the smallest input.
    """
    description, network = portable.description, portable.network
    return {
        "written_by": f"attacca {__version__}",
        "name": description.name,
        "model_digest": portable.digest,
        "weights_digest": description.weights_digest,
        "task": description.task["type"],
        "input": {
            "axes": ["batch", "channel", *(axis.name for axis in portable.axes)],
            "num_channels": network.num_in_channels,
            "sizes": {
                axis.name: size if axis.step is None else {"minimum": size, "step": axis.step}
                for axis, size in zip(portable.axes, smallest)
            },
            "voxel_size": description.voxel_size,
            "unit": description.unit,
            "intensity": description.intensity,
            "range": [-1, 1],
        },
        "output": {
            "axes": ["batch", "channel", *(axis.name for axis in portable.axes)],
            "channels": list(network.channel_names),
            "offsets": None if network.offsets is None else [list(offset) for offset in network.offsets],
            "value_range": list(network.value_range),
            "size_difference": {axis.name: -axis.lost for axis in portable.axes},
            "halo": {axis.name: axis.halo for axis in portable.axes},
        },
    }


def _export(portable: PortableNetwork, path: Path) -> torch.export.ExportedProgram:
    # With a batch of 1, PyTorch would fix the batch size.
    example = torch.zeros((2, portable.network.num_in_channels, *portable.input_shape(1)))
    shapes: dict[int, Any] = {0: torch.export.Dim("batch", max=_LARGEST_BATCH)}
    for number, axis in enumerate(portable.axes, 2):
        if axis.step is not None:
            steps = torch.export.Dim(f"{axis.name}_steps", min=1, max=_MOST_STEPS)
            shapes[number] = axis.step * steps + (axis.minimum - axis.step)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.export.export(portable.module, (example,), dynamic_shapes=(shapes,), strict=False)
    except Exception as error:
        raise ModelFileError(
            f"{path}: torch.export cannot export the network: {summarize_error(error)}"
        ) from error


def _check(portable: PortableNetwork, program: torch.export.ExportedProgram, path: Path) -> tuple[int, ...]:
    """Compare the program with the network, and return the spatial shape of the smallest input of the program."""
    module, generator = program.module(), torch.Generator().manual_seed(0)
    refusal: AssertionError | None = None
    # PyTorch excludes some sizes with outputs of 1 voxel.
    for steps in range(2):
        shape = portable.input_shape(steps)
        raw = torch.rand((1, portable.network.num_in_channels, *shape), generator=generator) * 2 - 1
        try:
            with torch.inference_mode():
                expected, found = portable.module(raw), module(raw)
        except AssertionError as error:
            refusal = error
            continue
        if expected.shape != found.shape or not torch.allclose(expected, found, atol=_TOLERANCE):
            raise ModelFileError(f"{path}: the exported program does not give the predictions of the network")
        return shape
    raise ModelFileError(f"{path}: the exported program refuses inputs of the network: {refusal}")
