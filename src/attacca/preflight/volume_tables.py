"""What a configuration's volumes are taken for, as tables for people: files, shapes, places, and who says so."""

import os
from collections.abc import Iterator
from math import prod

from funlib.geometry import Coordinate, Roi
from rich.console import Console
from rich.table import Table
from rich.text import Text

from attacca.arrays.identifier import is_url
from attacca.config.run import Configuration
from attacca.config.volumes import ClassSource, VolumeConfig
from attacca.volumes import PlannedArray, VolumePlan
from attacca.volumes.placement import described


def show_volumes(configuration: Configuration, plans: dict[str, VolumePlan], console: Console) -> None:
    """Print a table for each volume that a run uses."""
    for name, plan in plans.items():
        config = configuration.volumes[name]
        console.print(Text.assemble((name, "bold"), f": {_purposes(configuration, name)}"), soft_wrap=True)
        size = f"{_times(plan.voxel_size)} {plan.unit} ({plan.voxel_size_from})"
        console.print(Text(f"  voxel size {size}"), soft_wrap=True)
        region = f"{described(plan.roi)} {plan.unit}, {_times(plan.roi.shape / plan.voxel_size)} voxels"
        console.print(Text(f"  region {region}{' (roi)' if config.roi else ''}"), soft_wrap=True)
        for label, where, note in _sources(config, plan):
            console.print(Text(f"  {label}: {where}{note}"), soft_wrap=True)
        console.print(_table(plan))
        console.print()


def _purposes(configuration: Configuration, name: str) -> str:
    runs: dict[str, list[str]] = {}
    for run_name, run in configuration.runs.items():
        for purpose, names in (
            ("train", run.volumes.train),
            ("validate", run.volumes.validation),
            ("test", run.volumes.test),
        ):
            if name in names:
                runs.setdefault(purpose, []).append(run_name)
    return "; ".join(f"{purpose} in {', '.join(names)}" for purpose, names in runs.items())


def _sources(config: VolumeConfig, plan: VolumePlan) -> Iterator[tuple[str, str, str]]:
    if config.synthetic is not None:
        yield "synthetic", f"{config.synthetic.labels}, seed {config.synthetic.seed}", ""
    for array in plan.arrays.values():
        note = ", used in place" if array.link is not None else ""
        if array.name == "labels" and config.unlabelled is not None:
            note += f", {config.unlabelled} is unlabelled"
        for label, index in _labels_of(array):
            yield label, _near(array.sources[index].source.name), note


def _table(plan: VolumePlan) -> Table:
    table = Table(box=None, header_style="dim", pad_edge=False)
    for title in ("  ", "voxels", "type", "axes", "begins at", "said by", "covers"):
        table.add_column(title, overflow="fold")
    for array in plan.arrays.values():
        for label, index in _labels_of(array):
            placed = array.sources[index]
            table.add_row(
                f"  {label}",
                _times(placed.source.spatial_shape),
                str(placed.source.dtype),
                "".join(plan.axes),
                _commas(placed.roi.begin),
                placed.offset_from.replace("configuration", "config"),
                f"{100 * _share(placed.roi, plan.roi):.3g} %",
            )
        if not array.sources:
            axes = ("c" if array.num_channels is not None else "") + "".join(plan.axes)
            shape = _times(array.roi.shape / plan.voxel_size)
            table.add_row(
                f"  {array.name}", shape, str(array.dtype), axes, _commas(array.roi.begin), "", "100 %"
            )
    return table


def _labels_of(array: PlannedArray) -> Iterator[tuple[str, int]]:
    """A name for each source of an array, and its index."""
    for index, placed in enumerate(array.sources):
        yield placed.config.name if isinstance(placed.config, ClassSource) else array.name, index


def _share(roi: Roi, region: Roi) -> float:
    inside = roi.intersect(region)
    return 0.0 if inside.empty else prod(inside.shape) / prod(region.shape)


def _near(name: str) -> str:
    """A path as it is called from here, where that is shorter."""
    return name if is_url(name) else min(name, os.path.relpath(name), key=len)


def _times(values: Coordinate | tuple[int, ...]) -> str:
    return " x ".join(str(int(value)) for value in values)


def _commas(values: Coordinate) -> str:
    return ", ".join(str(int(value)) for value in values)
