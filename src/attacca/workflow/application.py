"""Directory of an application of a model file: its configuration, and a copy of the model."""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from attacca.arrays.identifier import is_url
from attacca.atomic import write_bytes, write_text
from attacca.config.load import load_configuration
from attacca.config.model_description import ModelDescription, read_model_description
from attacca.config.units import SYMBOLS
from attacca.errors import ConfigurationError
from attacca.exchange.attached_model import read_model
from attacca.layout import RESERVED_NAMES
from attacca.preflight.check_configuration import check_configuration

RUN = "applied"
"""Name of the run."""
CONFIGURATION, MODEL = "config.yaml", "model.zip"
"""Files of the directory besides results."""

_HEAD = "# Written by: attacca apply\n"
_VOXEL_SIZE_KEY = re.compile(r"(?<![\w/.])'?(?:volumes\.[^\s.]+\.)?voxel_size'?(?:: \[(?P<axes>[a-z, ]+)\])?")
_CONTAINERS = (".h5", ".hdf5", ".hdf", ".zarr", ".n5", ".zip")


def parse_setting(text: str) -> tuple[str, Any]:
    """Return key and value of ``KEY=VALUE``; the value is YAML.

    >>> parse_setting("execution.shards=8")
    ('execution.shards', 8)
    """
    key, mark, value = text.partition("=")
    if not mark or not all(key.split(".")):
        raise ValueError(f"found '{text}', expected KEY=VALUE")
    return key, yaml.safe_load(value)


def join_voxel_size(parts: Sequence[Sequence[float]]) -> list[float]:
    """Return the voxel size of all volumes from the words after ``--voxel-size``.

    Raises:
        ConfigurationError: the words are not one voxel size.

    >>> join_voxel_size([(40.0,), (4.0,), (4.0,)])
    [40.0, 4.0, 4.0]
    """
    sizes = [size for part in parts for size in part]
    if len(sizes) not in (2, 3):
        found = " ".join(",".join(f"{size:g}" for size in part) for part in parts)
        raise ConfigurationError(
            f"--voxel-size: found {found}, expected the size of one voxel: three numbers (z,y,x) for a 3D image, such as "
            "40,4,4, or two (y,x) for a 2D image",
            fix="all images get this size; apply the model to images of another size by a command of its own"
            if len(sizes) > 3
            else "",
        )
    return sizes


@dataclass(frozen=True)
class InputVolume:
    """An image on the command line, and its labels.

    Args:
        raw: path or URL, with ``:DATASET`` for a data set of a file.
        labels: labels in the same form; None without labels.
    """

    raw: str
    labels: str | None = None

    @classmethod
    def pair(cls, raw: Sequence[str], labels: Sequence[str]) -> "list[InputVolume]":
        """Return the volumes for lists of images and labels.

        Raises:
            ConfigurationError: the lists have different lengths.
        """
        if labels and len(labels) != len(raw):
            raise ConfigurationError(
                f"--labels: found {len(labels)} label volumes for {len(raw)} images, expected one for each image",
                fix="apply the model to images without labels by a command of its own",
            )
        if not labels:
            return [cls(path) for path in raw]
        return [cls(*pair) for pair in zip(raw, labels)]

    @property
    def name(self) -> str:
        """A name for results, from the name of the image."""
        path, dataset = split_dataset(self.raw)
        stem = re.split(r"[/\\]", path.rstrip("/\\"))[-1].split(".")[0]
        name = re.sub(r"[^A-Za-z0-9_-]+", "-", stem if stem else dataset or "").strip("-_")[:60] or "volume"
        return f"{name}-volume" if name in RESERVED_NAMES else name


@dataclass(frozen=True)
class Application:
    """Volumes and settings of an application.

    Args:
        model: the model file, or a model in another format with an attached model file.
        volumes: the volumes.
        voxel_size: voxel size of all volumes; None if the files hold it.
        unit: its unit.
        settings: further settings of the configuration, by keys with dots.
        extensions: Python files with the extensions that the model needs.
    """

    model: Path
    volumes: Sequence[InputVolume]
    voxel_size: Sequence[float] | None = None
    unit: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    extensions: Sequence[Path] = ()

    def configuration(self) -> dict[str, Any]:
        """Return the configuration as plain values."""
        volumes: dict[str, Any] = {}
        for volume in self.volumes:
            section: dict[str, Any] = {"raw": _describe_source(volume.raw)}
            if volume.labels is not None:
                section["labels"] = _describe_source(volume.labels)
            if self.voxel_size is not None:
                section["voxel_size"] = [int(v) if float(v).is_integer() else v for v in self.voxel_size]
            if self.unit is not None:
                section["unit"] = self.unit
            volumes[_choose_name(volume.name, volumes)] = section
        values: dict[str, Any] = {
            "results": ".",
            **({"extensions": [str(path.absolute()) for path in self.extensions]} if self.extensions else {}),
            "volumes": volumes,
            "runs": {RUN: {"model": MODEL, "volumes": {"test": list(volumes)}}},
        }
        for key, value in self.settings.items():
            _set(values, key.split("."), value)
        return values


def split_dataset(text: str) -> tuple[str, str | None]:
    """Return the path and the data set of ``PATH:DATASET``; None without a data set.

    >>> split_dataset("raw.h5:volumes/raw"), split_dataset("s3://bucket/raw.zarr"), split_dataset("C:/raw")
    (('raw.h5', 'volumes/raw'), ('s3://bucket/raw.zarr', None), ('C:/raw', None))
    """
    path, mark, dataset = text.rpartition(":")
    is_container = path.rstrip("/").lower().endswith(_CONTAINERS)
    return (path, dataset) if mark and dataset and is_container and not Path(text).exists() else (text, None)


def prepare_application(application: Application, directory: Path, warnings: list[str] | None = None) -> Path:
    """Write the configuration of an application and a copy of the model, check them, and return the configuration's path.

    Args:
        application: the model and its volumes.
        directory: directory of the results.
        warnings: receives the warnings of the check, which the workflow prints, too.

    Raises:
        ConfigurationError: the directory holds something else, or the model does not fit the volumes.
        ModelFileError: the model file cannot be used.
    """
    content = read_model(application.model)
    path, model = directory / CONFIGURATION, directory / MODEL
    _check_directory(directory, path)
    directory.mkdir(parents=True, exist_ok=True)
    if not (model.exists() and model.samefile(application.model)):
        write_bytes(model, content)
    values = application.configuration()
    text = _HEAD + yaml.safe_dump(values, sort_keys=False, default_flow_style=None, width=120)
    write_text(path, text)
    try:
        checked = check_configuration(load_configuration(path), path)
    except ConfigurationError as error:
        description, _ = read_model_description(model)
        raise type(error)(_name_options(str(error), description)) from error
    if warnings is not None:
        warnings += checked.warnings
    return path.absolute()


def _name_options(message: str, model: ModelDescription) -> str:
    """Replace keys of the configuration in a message by the options that set them, and name the model's voxel size."""
    lines = []
    for line in message.splitlines():
        if line.startswith(("  problem:", "  fix:")):
            key = _VOXEL_SIZE_KEY.search(line)
            if key and key["axes"] and len(key["axes"].split(", ")) == len(model.voxel_size):
                unit = "" if model.unit == "nanometer" else f" --unit {model.unit}"
                line += (
                    f"; the model was trained on {model.voxel_size} {SYMBOLS.get(model.unit, model.unit)}: if the image has "
                    f"this size, add --voxel-size {','.join(map(str, model.voxel_size))}{unit}"
                )
            line = _VOXEL_SIZE_KEY.sub(_name_option, line).replace("unit: ", "--unit ")
        lines.append(line)
    return "\n".join(lines)


def _name_option(key: re.Match[str]) -> str:
    axes = key["axes"]
    return f"--voxel-size {axes.replace(' ', '')}" if axes else "--voxel-size"


def _check_directory(directory: Path, configuration: Path) -> None:
    if directory.exists() and not directory.is_dir():
        raise ConfigurationError(f"--out {directory} is a file; name a directory")
    names = sorted(os.listdir(directory)) if directory.is_dir() else []
    if configuration.is_file() and configuration.read_text(errors="replace").startswith(_HEAD):
        return
    # A start that was killed may have left the copy of the model only.
    if [name for name in names if name != MODEL and not name.startswith(f".{MODEL}.")]:
        raise ConfigurationError(
            f"--out {directory} is not empty (it contains {', '.join(names[:3])}) and holds no application of a model; "
            "name a new or an empty directory"
        )


def _choose_name(name: str, taken: Mapping[str, Any]) -> str:
    """Return a name that no other volume has; names of results may not differ in case only on some file systems."""
    number, choice = 1, name
    while choice.lower() in {other.lower() for other in (*taken, RUN)}:
        number += 1
        choice = f"{name}-{number}"
    return choice


def _describe_source(text: str) -> dict[str, str]:
    path, dataset = split_dataset(text)
    location = path if is_url(path) else str(Path(path).expanduser().absolute())
    return {"path": location, **({} if dataset is None else {"dataset": dataset})}


def _set(values: dict[str, Any], keys: Sequence[str], value: Any) -> None:
    for depth, key in enumerate(keys[:-1]):
        inner = values.setdefault(key, {})
        if not isinstance(inner, dict):
            raise ConfigurationError(
                f"--set {'.'.join(keys)}: {'.'.join(keys[: depth + 1])} is a value and has no keys"
            )
        values = inner
    values[keys[-1]] = value
