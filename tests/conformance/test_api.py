"""Every name on DaCapo's API pages exists in Attacca, with the arguments, order and defaults of the pages.

The pages are read in place: from ``seeds`` beside the golden values, or from ``../shared/reference``.
"""

import ast
import importlib
import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from funlib.geometry import Coordinate, Roi

from attacca.architectures import create_architecture
from attacca.arrays import DistanceArray, LocalArrayIdentifier, NumpyArray, ZarrArray
from attacca.config.architecture import UNetConfig
from attacca.model import Model
from attacca.post_processors import WatershedPostProcessor, WatershedPostProcessorParameters
from attacca.predictors import (
    AffinitiesPredictor,
    DistancePredictor,
    DummyPredictor,
    HotDistancePredictor,
    InnerDistancePredictor,
    OneHotPredictor,
)

REPOSITORY = Path(__file__).resolve().parents[2]

# Where the names of a page's module are to be found.
ROOMS = {
    "dacapo.gp": ("attacca.gp",),
    "dacapo.experiments.tasks": ("attacca.tasks",),
    "dacapo.experiments.tasks.predictors": ("attacca.predictors", "attacca.model", "attacca.arrays"),
    "dacapo.experiments.tasks.post_processors": (
        "attacca.post_processors",
        "attacca.arrays",
        "attacca.blockwise",
    ),
}
# A module's logger, and methods that no other class can call.
NOT_FOR_USERS = {"logger", "__find_boundaries", "__normalize"}
# Arrays in memory are made by class methods.
NO_CONSTRUCTOR = {"NumpyArray"}
# Rows of the list of departures: another argument in this place, or a property for a method.
RENAMED = {("PostProcessor", "process", "chunk_size"): "block_size"}
PROPERTIES = {"voxel_size", "roi", "interpolatable", "output_array_type", "_daisy_array"}
PROPERTIES |= {"attrs", "axes", "dims", "writable", "dtype", "num_channels", "spatial_axes", "data"}

MODULE = re.compile(r"^\.\. py:module:: ([\w.]+)$")
TOP = re.compile(r"^\.\. py:(class|function|data):: (\w+)(?:\((.*)\))?(?: ->.*)?$")
MEMBER = re.compile(r"^   \.\. (py:)?(method|property|attribute):: (\w+)(?:\((.*)\))?(?: ->.*)?$")


@dataclass
class Entry:
    """A class, function or datum of a page."""

    room: tuple[str, ...]
    kind: str
    name: str
    signature: str | None
    members: dict[str, tuple[str, str | None]] = field(default_factory=dict)

    def find(self) -> Any:
        """The object of this name in Attacca; None where there is none."""
        for module in self.room:
            if (found := getattr(importlib.import_module(module), self.name, None)) is not None:
                return found
        return None


def read_pages(folder: Path) -> list[Entry]:
    """Return the entries of the pages. If a page names a member twice, its directive counts, not the prose."""
    entries: list[Entry] = []
    for page in sorted(folder.glob("*.txt")):
        text = page.read_text()
        module = next(match[1] for line in text.splitlines() if (match := MODULE.match(line)))
        room = ROOMS[max((name for name in ROOMS if module.startswith(name)), key=len)]
        for line in text.splitlines():
            if top := TOP.match(line):
                entries.append(Entry(room, *top.groups()))
            elif entries and (member := MEMBER.match(line)):
                own, kind, name, signature = member.groups()
                if own or name not in entries[-1].members:
                    entries[-1].members[name] = (kind, signature if own else None)
    return entries


@pytest.fixture
def pages(pytestconfig: pytest.Config) -> list[Entry]:
    golden = next(p for p in pytestconfig.pluginmanager.get_plugins() if hasattr(p, "GOLDEN")).GOLDEN
    for folder in (golden.parent / "seeds", REPOSITORY.parent / "shared" / "reference" / "seeds"):
        if folder.is_dir():
            return read_pages(folder)
    pytest.skip("no API pages beside the golden values or in ../shared/reference")


@pytest.fixture
def examples(tmp_path: Path) -> dict[str, Any]:
    """An object of each class whose attributes belong to objects."""
    voxel_size, roi = Coordinate(4, 4, 4), Roi((0, 0, 0), (32, 32, 32))
    identifier = LocalArrayIdentifier(tmp_path / "array.zarr", "raw")
    architecture = create_architecture(
        UNetConfig(input_shape=(8, 8, 8), channels=[2, 4], downsample_factors=[(2, 2, 2)]), 3
    )
    offsets = [Coordinate(1, 0, 0)]
    made = [
        ZarrArray.create_from_array_identifier(
            identifier, ["z", "y", "x"], roi, None, voxel_size, np.uint8, mode="w"
        ),
        NumpyArray.from_np_array(np.zeros((8, 8, 8)), roi, voxel_size, ["z", "y", "x"]),
        identifier,
        Model(architecture, torch_head(architecture)),
        DistanceArray({0: "mito"}),
        WatershedPostProcessor(offsets),
        WatershedPostProcessorParameters(),
        AffinitiesPredictor(offsets),
        DistancePredictor(["mito"], 1.0, True),
        HotDistancePredictor(["mito"], 1.0, True),
        InnerDistancePredictor(["mito"], 1.0),
        OneHotPredictor(["mito"]),
        DummyPredictor(1),
    ]
    return {type(example).__name__: example for example in made}


def torch_head(architecture: Any) -> Any:
    import torch

    return torch.nn.Conv3d(architecture.num_out_channels, 1, 1)


def compare_arguments(function: Callable[..., Any], signature: str, owner: str, name: str) -> list[str]:
    """List differences between a function's arguments and those on a page; further arguments may follow."""
    page_function = ast.parse(f"def page({signature}): pass").body[0]
    assert isinstance(page_function, ast.FunctionDef)
    ours = inspect.signature(function).parameters
    kinds = {parameter.kind for parameter in ours.values()}
    listed = [p for p in ours.values() if p.kind in (p.POSITIONAL_OR_KEYWORD, p.POSITIONAL_ONLY)]
    listed = [p for p in listed if p.name != "self"]
    arguments = page_function.args.args
    defaults: list[Any] = [None] * (len(arguments) - len(page_function.args.defaults)) + list(
        page_function.args.defaults
    )
    problems = []
    for index, (argument, default) in enumerate(zip(arguments, defaults, strict=True)):
        expected = RENAMED.get((owner, name, argument.arg), argument.arg)
        if index >= len(listed) or listed[index].name != expected:
            problems.append(f"argument {index + 1} is not {expected}")
        elif default is not None and expected == argument.arg:
            value = eval(ast.unparse(default), {"Coordinate": Coordinate})
            found = listed[index].default
            if found != value and not (value == [] and list(found) == []):
                problems.append(f"{expected}={found!r}, expected {value!r}")
        if expected != argument.arg and argument.arg not in ours:
            problems.append(f"no argument {argument.arg}")
    needed = [p.name for p in listed[len(arguments) :] if p.default is p.empty]
    problems += [f"needs {more} besides" for more in needed]
    if page_function.args.vararg and inspect.Parameter.VAR_POSITIONAL not in kinds:
        problems.append("no *args")
    if page_function.args.kwarg and inspect.Parameter.VAR_KEYWORD not in kinds:
        problems.append("no **kwargs")
    return problems


def test_every_class_and_function_is_here_with_its_arguments(pages: list[Entry]) -> None:
    problems = []
    for page_entry in pages:
        if page_entry.name in NOT_FOR_USERS:
            continue
        found = page_entry.find()
        if found is None:
            problems.append(f"{page_entry.name} is missing")
        elif page_entry.signature is not None and page_entry.name not in NO_CONSTRUCTOR:
            differences = compare_arguments(found, page_entry.signature, page_entry.name, "__init__")
            problems += [f"{page_entry.name}: {text}" for text in differences]
    assert problems == []
    assert len({page_entry.name for page_entry in pages}) > 35


def test_every_method_property_and_attribute_is_here(pages: list[Entry], examples: dict[str, Any]) -> None:
    problems, checked = [], 0
    for page_entry in pages:
        for name, (kind, signature) in page_entry.members.items():
            if name in NOT_FOR_USERS:
                continue
            checked += 1
            where, owner = f"{page_entry.name}.{name}", page_entry.find()
            static = inspect.getattr_static(owner, name, None)
            if kind != "method" or name in PROPERTIES:
                fields = getattr(owner, "model_fields", {})
                example = examples.get(page_entry.name, owner)
                if name not in fields and not hasattr(example, name):
                    problems.append(f"{where} is missing")
                elif inspect.isfunction(static):
                    problems.append(f"{where} is a method, not an attribute")
            elif static is None:
                problems.append(f"{where} is missing")
            elif not callable(getattr(owner, name)):
                problems.append(f"{where} cannot be called")
            elif signature is not None:
                differences = compare_arguments(getattr(owner, name), signature, page_entry.name, name)
                problems += [f"{where}: {text}" for text in differences]
    assert problems == []
    assert checked > 150
