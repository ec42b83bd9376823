"""All settings of the segmentation tried in one pass over the validation volumes.

Fragments, their graph and their contingency table with the truth are computed once for each way of making
fragments. Every threshold, bias and filter is then a look-up table on fragments, and its scores come from the
table of fragments
with renamed rows: no voxel is touched again.
"""

import math
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from funlib.geometry import Coordinate

from attacca.arrays import LocalArrayIdentifier, ZarrArray
from attacca.blockwise import BlockGrid, run_blocks
from attacca.config.segmentation import (
    AgglomerationSettings,
    FragmentSettings,
    SegmentationConfig,
    graph_options,
)
from attacca.errors import ConfigurationError
from attacca.evaluators.contingency import ContingencyTable, contingency_table, merge_tables
from attacca.evaluators.instance_scores import (
    InstanceConvention,
    instance_criteria,
    rand_from_table,
    scores_from_table,
    voi_from_table,
)
from attacca.segmentation.agglomerate import Graph, mean_affinity_merges
from attacca.segmentation.fragments import FragmentBlocks, settle_cells
from attacca.segmentation.graph_blocks import GraphBlocks, load_graph
from attacca.segmentation.lookup import agglomerate
from attacca.segmentation.threads import InThreads

QUICK_SCORES = ("voi_split", "voi_merge", "voi", "adapted_rand_error")


@dataclass(frozen=True)
class TuningVolume:
    """A validation volume.

    Args:
        name: of the volume.
        prediction: affinities, an ``attacca.arrays.Array`` with channels first.
        ground_truth: labels, an ``Array`` or a numpy array of the prediction's voxels; 0 as the convention says.
        mask: ``Array`` of voxels to segment, or None.
    """

    name: str
    prediction: Any
    ground_truth: Any
    mask: Any = None


@dataclass(frozen=True)
class TuningResult:
    """What was tried, and what was best.

    Args:
        table: one row for each setting: its parameters, ``voi_split``, ``voi_merge``, ``voi``,
            ``adapted_rand_error``, the criterion and ``segments``, each a mean over the volumes, weighted by
            the voxels that count.
        chosen: ``{"fragments": ..., "agglomeration": ..., "row": index into the table}``.
        criterion: what was optimised.
    """

    table: list[dict[str, Any]]
    chosen: dict[str, Any]
    criterion: str

    @property
    def fragments(self) -> FragmentSettings:
        return FragmentSettings.model_validate(self.chosen["fragments"])

    @property
    def agglomeration(self) -> AgglomerationSettings:
        return AgglomerationSettings.model_validate(self.chosen["agglomeration"])

    def to_json(self) -> dict[str, Any]:
        """Plain values; scores that are not finite are null."""
        rows = [
            {
                key: None if isinstance(value, float) and not math.isfinite(value) else value
                for key, value in row.items()
            }
            for row in self.table
        ]
        return {"table": rows, "chosen": self.chosen, "criterion": self.criterion}


def tune(
    volumes: Sequence[TuningVolume],
    neighborhood: Sequence[Sequence[int]],
    config: SegmentationConfig,
    workdir: str | Path,
    *,
    criterion: str | None = None,
    convention: InstanceConvention | None = None,
    block_size: Sequence[int] | None = None,
    num_workers: int = 1,
) -> TuningResult:
    """Try every setting of a configuration and choose the best.

    Args:
        volumes: validation volumes.
        neighborhood: offset of each channel, in voxels.
        config: what to try.
        workdir: directory for fragments and graphs; each is removed when its settings were tried.
        criterion: score to optimise: one of ``attacca.evaluators.instance_scores``; the configuration's own
            by default, else ``voi``.
        convention: how background is counted.
        block_size: world units; one chunk of the prediction by default.
        num_workers: threads.

    Returns:
        Table and choice; where nothing is to be chosen, an empty table.

    Raises:
        ConfigurationError: there is no such criterion, or no validation volume, or no setting has a finite
            score.
    """
    name = criterion or config.criterion or "voi"
    known = {item.name: item for item in instance_criteria()}
    if name not in known:
        raise ConfigurationError(
            f"segmentation.criterion: found '{name}', expected one of {', '.join(sorted(known))}"
        )
    if config.is_fixed:
        fragments = config.fragment_candidates()[0]
        chosen = _choice(fragments, config.agglomeration_candidates(fragments)[0], 0)
        return TuningResult([], chosen, name)
    if not volumes:
        raise ConfigurationError(
            "segmentation: several settings are to be tried, but there is no validation volume "
            "to try them on; name one "
            "under volumes.validate, or give one value each for chain, bias, threshold and min_size"
        )
    # The choice is applied in cells of the size in which it was made.
    cells = _block_voxels(volumes[0].prediction, block_size)
    settings, rows = score_settings(
        volumes,
        neighborhood,
        config,
        workdir,
        criterion=name,
        convention=convention,
        block_size=block_size,
        num_workers=num_workers,
    )
    best = _best(rows, name, known[name].higher_is_better)
    return TuningResult(rows, _choice(settle_cells(settings[best][0], cells), settings[best][1], best), name)


def score_settings(
    volumes: Sequence[TuningVolume],
    neighborhood: Sequence[Sequence[int]],
    config: SegmentationConfig,
    workdir: str | Path,
    *,
    criterion: str,
    convention: InstanceConvention | None = None,
    block_size: Sequence[int] | None = None,
    num_workers: int = 1,
) -> tuple[list[tuple[FragmentSettings, AgglomerationSettings]], list[dict[str, Any]]]:
    """Scores of every setting of a configuration, also where there is one only.

    Arguments are those of ``tune``.

    Returns:
        The settings, and for each a row of the table of ``TuningResult``; a score that has no value is nan.
    """
    rows: list[dict[str, Any]] = []
    settings: list[tuple[FragmentSettings, AgglomerationSettings]] = []
    for number, fragments in enumerate(config.fragment_candidates()):
        agglomerations = config.agglomeration_candidates(fragments)
        scores = []
        for volume in volumes:
            folder = Path(workdir) / f"fragments-{number}-{volume.name}"
            try:
                scored = _prepare(
                    volume, neighborhood, fragments, agglomerations, folder, block_size, num_workers
                )
                scores.append(_scores_of_all(*scored, agglomerations, convention, criterion))
            finally:
                shutil.rmtree(folder, ignore_errors=True)
        for i, agglomeration in enumerate(agglomerations):
            settings.append((fragments, agglomeration))
            rows.append({**_parameters(fragments, agglomeration), **_mean([volume[i] for volume in scores])})
    return settings, rows


def _choice(fragments: FragmentSettings, agglomeration: AgglomerationSettings, row: int) -> dict[str, Any]:
    return {
        "fragments": fragments.model_dump(mode="json"),
        "agglomeration": agglomeration.model_dump(mode="json"),
        "row": row,
    }


def _block_voxels(prediction: Any, block_size: Sequence[int] | None) -> Coordinate:
    size = block_size if block_size is not None else getattr(prediction, "chunk_size", prediction.roi.shape)
    return Coordinate(size) / prediction.voxel_size


def _best(rows: list[dict[str, Any]], criterion: str, higher: bool) -> int:
    finite = [i for i, row in enumerate(rows) if math.isfinite(row[criterion])]
    if not finite:
        raise ConfigurationError(
            f"no setting has a finite {criterion} on the validation volumes: do they have labels "
            "inside the mask?"
        )
    sign = -1.0 if higher else 1.0
    return min(finite, key=lambda i: (sign * rows[i][criterion], i))


def _parameters(fragments: FragmentSettings, agglomeration: AgglomerationSettings) -> dict[str, Any]:
    """The values of a row that tell it from others."""
    row: dict[str, Any] = {"chain": fragments.chain}
    if fragments.chain == "mutex_watershed":
        row["bias"] = fragments.bias
        row["strides"] = fragments.strides
    elif fragments.chain == "seeded":
        row["inside_above"] = fragments.inside_above
    row["agglomeration"] = agglomeration.method
    if agglomeration.method != "none":
        row["threshold"] = agglomeration.threshold
    if agglomeration.method == "mutex_watershed":
        row["long_bias"] = agglomeration.long_bias
    row["min_size"] = agglomeration.min_size
    return row


def _mean(scores: list[dict[str, float]]) -> dict[str, float]:
    weights = np.array([score["weight"] for score in scores])
    if weights.sum() == 0:
        weights = np.ones(len(scores))
    result = {}
    for name in scores[0]:
        if name == "weight":
            continue
        values = np.array([score[name] for score in scores])
        counted = weights > 0
        result[name] = float(np.average(values[counted], weights=weights[counted]))
    result["segments"] = sum(score["segments"] for score in scores)
    return result


def _prepare(
    volume: TuningVolume,
    neighborhood: Sequence[Sequence[int]],
    settings: FragmentSettings,
    agglomerations: Sequence[AgglomerationSettings],
    folder: Path,
    block_size: Sequence[int] | None,
    num_workers: int,
) -> tuple[Graph, ContingencyTable]:
    """Graph and contingency table of the fragments of one volume."""
    prediction = volume.prediction
    offsets = tuple(tuple(int(step) for step in offset) for offset in neighborhood)
    chunk = Coordinate(getattr(prediction, "chunk_size", prediction.roi.shape))
    fragments = ZarrArray.create_from_array_identifier(
        LocalArrayIdentifier(folder / "fragments.zarr", "s0"),
        axes=prediction.spatial_axes,
        roi=prediction.roi,
        num_channels=None,
        voxel_size=prediction.voxel_size,
        dtype=np.uint64,
        write_size=chunk,
        overwrite=True,
        unit=prediction.unit,
    )
    grid = BlockGrid.for_array(fragments, Coordinate(block_size) if block_size is not None else None)
    settled = settle_cells(settings, grid.block_size / prediction.voxel_size)
    run_blocks(
        InThreads(FragmentBlocks(prediction, fragments, offsets, settled, volume.mask), num_workers), grid
    )
    long = next((a for a in agglomerations if a.method == "mutex_watershed"), agglomerations[0])
    run_blocks(
        InThreads(
            GraphBlocks(
                prediction, fragments, str(folder / "graph"), offsets, **graph_options(settings, long)
            ),
            num_workers,
        ),
        grid,
    )
    table = merge_tables(_tables(volume, fragments, grid))
    return load_graph(folder / "graph", len(grid)), table


def _tables(volume: TuningVolume, fragments: Any, grid: BlockGrid) -> Iterator[ContingencyTable]:
    for block in grid:
        roi = block.write_roi
        if isinstance(volume.ground_truth, np.ndarray):
            begin = (roi.begin - fragments.roi.begin) / fragments.voxel_size
            shape = roi.shape / fragments.voxel_size
            ground_truth = volume.ground_truth[tuple(slice(b, b + s) for b, s in zip(begin, shape))]
        else:
            ground_truth = volume.ground_truth.read(roi, 0)
        inside = None
        if volume.mask is not None:
            inside = volume.mask.read(roi, 0)
            inside = (inside.max(axis=0) if volume.mask.num_channels else inside) > 0
        yield contingency_table(np.asarray(fragments[roi]), ground_truth, inside)


def _scores_of_all(
    graph: Graph,
    table: ContingencyTable,
    agglomerations: Sequence[AgglomerationSettings],
    convention: InstanceConvention | None,
    criterion: str,
) -> list[dict[str, float]]:
    """Scores of each agglomeration of one volume's fragments."""
    lowest = min((a.threshold for a in agglomerations if a.method == "mean_affinity"), default=1.0)
    merges = mean_affinity_merges(graph, lowest)
    places, position = np.unique(table.segment, return_inverse=True)
    scores = []
    for settings in agglomerations:
        lookup = agglomerate(graph, settings, merges)
        renamed = np.zeros(len(places), np.uint64)
        if len(lookup.ids):
            found = np.minimum(np.searchsorted(lookup.ids, places), len(lookup.ids) - 1)
            known = lookup.ids[found] == places
            renamed[known] = lookup.segments[found[known]]
        mapped = ContingencyTable.from_rows(renamed[position], table.ground_truth, table.count)
        voi, rand = voi_from_table(mapped, convention), rand_from_table(mapped, convention)
        score = {
            "voi_split": voi.split,
            "voi_merge": voi.merge,
            "voi": voi.total,
            "adapted_rand_error": rand.error,
            "segments": int(lookup.segments.max(initial=np.uint64(0))),
            "weight": float(table.count[table.ground_truth > 0].sum()),
        }
        if criterion not in score:
            all_scores = scores_from_table(mapped, convention)
            score[criterion] = float(getattr(all_scores, criterion))
        scores.append(score)
    return scores
