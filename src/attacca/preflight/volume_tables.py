"""Tables of the volumes of a configuration: files, shapes, positions, and the source of each value."""

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
from attacca.preflight.check_configuration import CheckedConfiguration
from attacca.volumes import PlannedArray, VolumePlan
from attacca.volumes.placement import format_roi


def print_volumes(configuration: Configuration, checked: CheckedConfiguration, console: Console) -> None:
    """Print a table for each volume that a run uses."""
    for name, plan in checked.plans.items():
        config = configuration.volumes[name]
        shape = _join(plan.roi.shape / plan.voxel_size, " x ")
        purposes = _list_purposes(configuration, name)
        console.print(Text.assemble((name, "bold"), f": {purposes}"), soft_wrap=True)
        lines = [
            f"  voxel size {_join(plan.voxel_size, ' x ')} {plan.unit} ({plan.voxel_size_from})",
            f"  region {format_roi(plan.roi)} {plan.unit}, {shape} voxels{' (roi)' if config.roi else ''}",
            *_list_sources(config, plan),
            *(f"  {note}" for note in checked.notes.get(name, ())),
        ]
        for line in lines:
            console.print(Text(line), soft_wrap=True)
        console.print(_create_table(plan))
        console.print()


def _list_purposes(configuration: Configuration, name: str) -> str:
    runs: dict[str, list[str]] = {}
    for run_name, run in configuration.runs.items():
        volumes = run.volumes
        for purpose, names in (
            ("train", volumes.train),
            ("validate", volumes.validation),
            ("test", volumes.test),
        ):
            if name in names:
                runs.setdefault(purpose, []).append(run_name)
    return "; ".join(f"{purpose} in {', '.join(names)}" for purpose, names in runs.items())


def _list_sources(config: VolumeConfig, plan: VolumePlan) -> Iterator[str]:
    if config.synthetic is not None:
        yield f"  synthetic: {config.synthetic.labels}, seed {config.synthetic.seed}"
    for array in plan.arrays.values():
        note = ", used in place" if array.link is not None else ""
        if array.name == "labels" and config.labels is not None and config.labels.unlabelled is not None:
            note += f", {config.labels.unlabelled} is unlabelled"
        for placed in array.sources:
            path = placed.source.name
            if not is_url(path):
                path = min(path, os.path.relpath(path), key=len)
            yield f"  {_name_source(array, placed.config)}: {path}{note}"


def _create_table(plan: VolumePlan) -> Table:
    table = Table(box=None, header_style="dim", pad_edge=False)
    for title in ("  ", "voxels", "type", "axes", "offset", "set by", "covers"):
        table.add_column(title, overflow="fold")
    for array in plan.arrays.values():
        for placed in array.sources:
            table.add_row(
                f"  {_name_source(array, placed.config)}",
                _join(placed.source.spatial_shape, " x "),
                str(placed.source.dtype),
                _describe_axes(plan, placed.source.stored_axes),
                _join(placed.roi.begin, ", "),
                placed.offset_from.replace("configuration", "config"),
                f"{100 * _overlap(placed.roi, plan.roi):.3g} %",
            )
        if not array.sources:
            axes = ("c" if array.num_channels is not None else "") + "".join(plan.axes)
            shape = _join(array.roi.shape / plan.voxel_size, " x ")
            offset = _join(array.roi.begin, ", ")
            table.add_row(f"  {array.name}", shape, str(array.dtype), axes, offset, "", "100 %")
    return table


def _describe_axes(plan: VolumePlan, stored: str) -> str:
    """Return the axes of a source, and their order in the file if it is another one."""
    axes = "".join(plan.axes)
    return axes if stored in ("", axes) else f"{axes} (file: {stored})"


def _name_source(array: PlannedArray, config: object) -> str:
    return config.name if isinstance(config, ClassSource) else array.name


def _overlap(roi: Roi, region: Roi) -> float:
    """Return the fraction of a region that a ROI covers."""
    common = roi.intersect(region)
    return 0.0 if common.empty else prod(common.shape) / prod(region.shape)


def _join(values: Coordinate | tuple[int, ...], separator: str) -> str:
    return separator.join(str(int(value)) for value in values)
