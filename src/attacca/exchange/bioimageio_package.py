"""Package of the BioImage Model Zoo with the network of a model file.

The package is a ZIP file with ``rdf.yaml`` (a model description of format 0.5), the network as TorchScript, an example
of input and output, a page of documentation, and Attacca's own model file. ``bioimageio.core`` tests each package before
it is written: https://bioimage-io.github.io/spec-bioimage-io.

The output of the TorchScript has the size of its input, also that of a network without padding: programs that predict
block by block remove the context (``halo``) from it, and do not support smaller outputs.
"""

import hashlib
import io
import re
import warnings
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from attacca.architectures.intensity import Percentiles
from attacca.archive import pack_archive, write_archive
from attacca.errors import ModelFileError, summarize_error
from attacca.exchange.attached_model import ATTACHED, DESCRIPTIONS
from attacca.exchange.bioimageio_check import (
    PROGRAM,
    find_license,
    find_problems,
    read_format_version,
    require_bioimageio,
)
from attacca.exchange.model_page import write_model_page
from attacca.exchange.portable_network import AxisSizes, PortableNetwork, open_portable_network

RAW, PREDICTION = "raw", "prediction"
"""Names of the tensors."""

_WEIGHTS, _INPUT, _OUTPUT = "weights_torchscript.pt", "test_input.npy", "test_output.npy"
_PAGE, _LICENSE = "README.md", "LICENSE.txt"
_RELATIVE_TOLERANCE, _ABSOLUTE_TOLERANCE = 1e-3, 1e-4
_LARGEST_DIFFERENCE = 1e-5
_SMALLEST_WIDTH = 1e-12
"""Added to the width of the range of percentiles by the format."""
_LONGEST_NAME, _SHORTEST_NAME, _LONGEST_TEXT = 64, 5, 500
_DOI = re.compile(r"10\.\d{4,9}/[^\s\"<>{}]+")
_URL = re.compile(r"https?://[^\s\"<>{}]+")


class PaddedOutput(torch.nn.Module):
    """A network with zeros around its output, up to the size of its input.

    Args:
        module: the network.
        padding: zeros before and after the output, per spatial axis.
    """

    def __init__(self, module: torch.nn.Module, padding: Sequence[tuple[int, int]]) -> None:
        super().__init__()
        self.module = module
        # torch lists the last axis first.
        self.padding = [width for pair in reversed(padding) for width in pair]

    def forward(self, raw: torch.Tensor) -> torch.Tensor:
        """Return the prediction (batch, channels, *spatial), with the spatial shape of ``raw``."""
        return torch.nn.functional.pad(self.module(raw), self.padding)


def write_bioimageio_package(model: Path, target: Path) -> list[str]:
    """Write a package of the BioImage Model Zoo, and test it with ``bioimageio.core``.

    Args:
        model: the model file. The extensions that it needs have to be loaded.
        target: the package; replaced if it exists.

    Returns:
        Names of the parts that are missing for a publication: authors, license, citation.

    Raises:
        ConfigurationError: ``bioimageio.core`` is not installed.
        ModelFileError: the model file cannot be used, or the package fails the test.
    """
    require_bioimageio()
    portable = open_portable_network(model)
    members = _create_members(portable, model)
    problems = find_problems(members, DESCRIPTIONS[0])
    if problems:
        raise ModelFileError(f"{model}: {PROGRAM} refuses the package: {'; '.join(problems)[:2000]}")
    write_archive(target, members)
    about = portable.description.about
    parts = {"authors": about.authors, "license": about.license, "citation with a DOI": _cite(portable)}
    return [name for name, value in parts.items() if not value]


def _create_members(portable: PortableNetwork, model: Path) -> dict[str, bytes]:
    """Return the files of a package by name."""
    raw = portable.create_example()
    padding = [axis.padding for axis in portable.axes]
    prediction = np.pad(portable.predict(raw), [(0, 0), *padding])
    about = portable.description.about
    members = {
        _WEIGHTS: _compile_torchscript(portable, model),
        _INPUT: _encode_array(raw[None]),
        _OUTPUT: _encode_array(prediction[None]),
        _PAGE: write_model_page(portable, ATTACHED).encode(),
        ATTACHED: model.read_bytes(),
    }
    license_id = find_license(about.license) if about.license else None
    if about.license and license_id is None:
        members[_LICENSE] = (about.license + "\n").encode()

    def refer(name: str) -> dict[str, str]:
        return {"source": name, "sha256": hashlib.sha256(members[name]).hexdigest()}

    values: dict[str, Any] = {
        "type": "model",
        "format_version": read_format_version(),
        "name": _make_name(portable.description.name),
        "description": _shorten(about.description)
        or f"Network for the task {portable.description.task['type']}",
        "authors": [{"name": re.sub(r"[/\\]", "-", name)} for name in about.authors],
        "cite": _cite(portable),
        "tags": _list_tags(portable),
        "documentation": refer(_PAGE),
        "attachments": [refer(ATTACHED)],
        "inputs": [{**_describe_input(portable), "test_tensor": refer(_INPUT)}],
        "outputs": [{**_describe_output(portable), "test_tensor": refer(_OUTPUT)}],
        "weights": {
            "torchscript": {**refer(_WEIGHTS), "pytorch_version": torch.__version__.partition("+")[0]}
        },
        "config": _describe_further(portable, prediction),
    }
    if about.license:
        values["license"] = license_id or refer(_LICENSE)
    text = yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=120)
    return {DESCRIPTIONS[0]: text.encode(), **members}


def _encode_array(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.ascontiguousarray(array), allow_pickle=False)
    return buffer.getvalue()


def _compile_torchscript(portable: PortableNetwork, path: Path) -> bytes:
    """Return the network as TorchScript, without the names of the source files of this machine.

    Raises:
        ModelFileError: the TorchScript does not give the predictions of the network for another shape.
    """
    module = PaddedOutput(portable.module, [axis.padding for axis in portable.axes])
    example = torch.zeros((1, portable.network.num_in_channels, *portable.input_shape(1)))
    shape = (2, portable.network.num_in_channels, *portable.input_shape())
    raw = torch.rand(shape, generator=torch.Generator().manual_seed(0)) * 2 - 1
    buffer = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        # Tracing fixes comparisons of shapes, so the result is compared for another shape.
        warnings.simplefilter("ignore")
        expected = module(raw)
        try:
            traced = torch.jit.trace(module, example, check_trace=False)
            torch.jit.save(traced, buffer)
            found = traced(raw)
        except Exception as error:
            raise ModelFileError(
                f"{path}: PyTorch cannot make TorchScript of the network: {summarize_error(error)}"
            ) from error
    if expected.shape != found.shape or not torch.allclose(expected, found, atol=_LARGEST_DIFFERENCE):
        raise ModelFileError(
            f"{path}: the TorchScript of the network gives other predictions than the network"
        )
    with zipfile.ZipFile(buffer) as archive:
        names = [name for name in archive.namelist() if not name.endswith(".debug_pkl")]
        return pack_archive({name: archive.read(name) for name in names})


def _describe_input(portable: PortableNetwork) -> dict[str, Any]:
    channels = [f"channel_{number}" for number in range(portable.network.num_in_channels)]
    return {
        "id": RAW,
        "description": "raw data",
        "axes": [
            {"type": "batch"},
            {"type": "channel", "id": "channel", "channel_names": channels},
            *(
                {
                    **_describe_axis(portable, axis),
                    "size": axis.minimum if axis.step is None else {"min": axis.minimum, "step": axis.step},
                    "concatenable": True,
                }
                for axis in portable.axes
            ),
        ],
        "data": {"type": portable.dtype},
        # As in Attacca, volumes are mirrored at their borders.
        "pad": {"mode": "reflect"},
        "preprocessing": _list_preprocessing(portable),
    }


def _describe_output(portable: PortableNetwork) -> dict[str, Any]:
    network = portable.network
    limits = [float(limit) if np.isfinite(limit) else None for limit in network.value_range]
    bounds = {key: limit for key, limit in zip(("min", "max"), limits) if limit is not None}
    return {
        "id": PREDICTION,
        "description": f"prediction of the task {portable.description.task['type']}"[:128],
        "axes": [
            {"type": "batch"},
            {"type": "channel", "id": "channel", "channel_names": list(network.channel_names)},
            *(
                {
                    **_describe_axis(portable, axis),
                    "size": {"tensor_id": RAW, "axis_id": axis.name},
                    **({"halo": axis.context} if axis.context else {}),
                }
                for axis in portable.axes
            ),
        ],
        "data": {"type": "float32", "range": limits},
        "postprocessing": [
            *([{"id": "clip", "kwargs": bounds}] if bounds else []),
            _ensure_float32(),
        ],
    }


def _describe_axis(portable: PortableNetwork, axis: AxisSizes) -> dict[str, Any]:
    description = portable.description
    voxel_size = dict(zip([axis.name for axis in portable.axes], description.voxel_size))
    return {
        "type": "space",
        "id": axis.name,
        "unit": description.unit,
        "scale": float(voxel_size[axis.name]),
    }


def _list_preprocessing(portable: PortableNetwork) -> list[dict[str, Any]]:
    """Return the operations that map raw values to -1 to 1, in the order of ``attacca.architectures.intensity``."""
    rule = portable.network.intensity
    if isinstance(rule, Percentiles):
        kwargs = {
            "axes": ["channel", *(axis.name for axis in portable.axes)],
            "min_percentile": float(rule.low),
            "max_percentile": float(rule.high),
            "eps": _SMALLEST_WIDTH,
        }
        steps: list[dict[str, Any]] = [{"id": "scale_range", "kwargs": kwargs}]
        width = 1.0
    else:
        low, width = rule.minimum, rule.maximum - rule.minimum
        steps = [{"id": "scale_linear", "kwargs": {"gain": 1.0, "offset": -low}}] if low else []
    clip = {"id": "clip", "kwargs": {"min": 0.0, "max": width}}
    scale = {"id": "scale_linear", "kwargs": {"gain": 2.0 / width, "offset": -1.0}}
    return [_ensure_float32(), *steps, clip, scale, _ensure_float32()]


def _ensure_float32() -> dict[str, Any]:
    return {"id": "ensure_dtype", "kwargs": {"dtype": "float32"}}


def _describe_further(portable: PortableNetwork, prediction: np.ndarray) -> Mapping[str, Any]:
    network, description = portable.network, portable.description
    # The format permits at most a hundredth of the largest value.
    absolute = max(0.0, min(_ABSOLUTE_TOLERANCE, 0.005 * float(prediction.max())))
    tolerance = {"relative_tolerance": _RELATIVE_TOLERANCE, "absolute_tolerance": absolute}
    return {
        "bioimageio": {"reproducibility_tolerance": [tolerance]},
        "attacca": {
            "model": ATTACHED,
            "digest": portable.digest,
            "weights_digest": description.weights_digest,
            "written_by": description.written_by,
            "offsets": None if network.offsets is None else [list(offset) for offset in network.offsets],
            "value_range": [float(limit) if np.isfinite(limit) else None for limit in network.value_range],
        },
    }


def _list_tags(portable: PortableNetwork) -> list[str]:
    description = portable.description
    is_semantic = bool(description.read_task().class_names)
    tags = [
        "attacca",
        "pytorch",
        f"{portable.network.dims}d",
        "electron-microscopy",
        description.task["type"],
    ]
    tags.append("semantic-segmentation" if is_semantic else "instance-segmentation")
    return tags + (["unet"] if description.architecture["type"] == "unet" else [])


def _cite(portable: PortableNetwork) -> list[dict[str, str]]:
    """Return the citation, if it names a DOI or an address, which the format requires."""
    about = portable.description.about
    doi, url = _DOI.search(about.citation), _URL.search(about.citation) or _URL.match(about.url)
    if not about.citation or not (doi or url):
        return []
    cited = {"text": " ".join(about.citation.split())}
    if doi:
        cited["doi"] = doi[0].rstrip(".,;)")
    elif url:
        cited["url"] = url[0].rstrip(".,;)")
    return [cited]


def _make_name(name: str) -> str:
    """Return a name with the characters that the format permits.

    >>> _make_name("neurites, 8 nm"), _make_name("a")
    ('neurites- 8 nm', 'Attacca a')
    """
    plain = re.sub(r"[^A-Za-z0-9_+\- ()]", "-", name)
    return (plain if len(plain) >= _SHORTEST_NAME else f"Attacca {plain}")[:_LONGEST_NAME]


def _shorten(text: str) -> str:
    plain = " ".join(text.split())
    return plain if len(plain) <= _LONGEST_TEXT else plain[: _LONGEST_TEXT - 3] + "..."
