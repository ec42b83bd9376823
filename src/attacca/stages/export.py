"""Stage that writes a segmentation in the formats of other programs."""

import sys
from functools import partial
from typing import Any

from attacca.atomic import write_text
from attacca.config.export import ExportConfig
from attacca.config.run import Configuration, RunConfig
from attacca.jobs.open_results import open_result
from attacca.jobs.stage import (
    LABEL_BYTES,
    CostModel,
    ProductSizes,
    Scope,
    Stage,
    StageInstance,
    locate_manifest,
    plain_values,
)
from attacca.jobs.stage_main import StageArguments, stage_main
from attacca.manifest import Manifest
from attacca.stages.classes import CLASSES
from attacca.stages.evaluate import segmentation_stage
from attacca.stages.relabel import RELABEL

_VOXELS_AT_ONCE = 1 << 24
"""Voxels of a box of 256³."""

_CHUNKS_PER_SHARD = 64


def _parameters(configuration: Configuration, run: str, volume: str) -> dict[str, Any]:
    formats = configuration.runs[run].export.formats
    return {"export": {name: plain_values(settings) for name, settings in formats.items()}}


def _voxels_at_once(run: RunConfig, voxels: int) -> int:
    return min(voxels, _VOXELS_AT_ONCE)


def _disk(sizes: ProductSizes) -> tuple[float, float]:
    formats = sizes.configuration.runs[sizes.run].export.formats
    size = sizes.voxels * LABEL_BYTES * sizes.pyramid * len(formats)
    files = 3 + sum(
        sizes.voxels / 64**3 / _CHUNKS_PER_SHARD * sizes.pyramid + 20
        for name in formats
        if name in ("precomputed", "webknossos")
    )
    # Two files per mesh, two per skeleton.
    precomputed = sizes.configuration.runs[sizes.run].export.formats.get("precomputed")
    kinds = sum(bool(getattr(precomputed, kind, False)) for kind in ("meshes", "skeletons"))
    return size + 1e4, files + 2 * kinds * sizes.fragments / 10


EXPORT = Stage(
    name="export",
    title="formats of other programs",
    scope=Scope.RUN_AND_VOLUME,
    inputs=lambda configuration, run, volume: {
        "segmentation": StageInstance(segmentation_stage(configuration.runs[run].task), run, volume)
    },
    applies=lambda run: bool(run.export.formats),
    manifest=locate_manifest("export"),
    parameters=_parameters,
    contents=lambda layout, run, volume: [str(layout.export(run, volume))],
    manifest_lists_files=True,
    is_final=True,
    cost=CostModel(400, 60, 5.0e6, 2, voxels_at_once=_voxels_at_once),
    disk=_disk,
    max_threads=1,
)


def work(arguments: StageArguments) -> None:
    """Write each format that is not up to date, and the manifest with the paths of all."""
    # deferred: the Snakefile does not need the libraries of the formats.
    from attacca.export.products import PRODUCTS, remove_product, write_product
    from attacca.export.writers import SegmentationWriter

    layout, run, volume = arguments.layout, arguments.run, arguments.volume
    segmentation = arguments.inputs["segmentation"]
    stage = CLASSES if segmentation.stage == CLASSES.name else RELABEL
    array = open_result(StageInstance(stage, run, volume), layout)
    formats = ExportConfig.model_validate(arguments.parameters["export"]).formats
    directory = layout.export(run, volume)
    for name in PRODUCTS:
        if name not in formats:
            remove_product(directory, name)
    writer = SegmentationWriter(array, f"{run}-{volume}")
    results = {}
    for name, settings in formats.items():
        key = {
            "version": EXPORT.version,
            "settings": plain_values(settings),
            "input": segmentation.fingerprint,
        }
        results[name] = write_product(directory, name, key, partial(writer.write, settings=settings))
    table = directory / "segment_ids.tsv"
    if writer.needs_table(formats.values()):
        write_text(table, writer.format_table())
    else:
        table.unlink(missing_ok=True)
    files = [f"{directory.name}/{PRODUCTS[name]}" for name in formats]
    if writer.needs_table(formats.values()):
        files.append(f"{directory.name}/{table.name}")
    Manifest(
        EXPORT.name,
        EXPORT.version,
        arguments.parameters,
        {"segmentation": segmentation.fingerprint},
        {"files": files, "formats": results},
    ).write(arguments.output)


if __name__ == "__main__":
    sys.exit(stage_main(EXPORT, work))
