"""Tuning: all settings of the segmentation, tried in one pass over the validation volumes.

1. For each way of making fragments, compute the fragments, their graph, and their contingency table with the
   ground truth, once per volume.
2. Each threshold, bias and filter is then a look-up table from fragments to segments, and its scores come
   from the contingency table with renamed rows: no voxel is read again.
3. Choose the setting with the best mean over the volumes, amid thresholds that are about as good.
"""

import math
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from funlib.geometry import Coordinate

from attacca.blockwise import BlockGrid
from attacca.config.evaluation import EvaluationConfig
from attacca.config.segmentation import AgglomerationSettings, FragmentSettings, SegmentationConfig
from attacca.errors import ConfigurationError
from attacca.evaluators.contingency import ContingencyTable
from attacca.evaluators.ground_truth import GroundTruthRules
from attacca.evaluators.instance_scores import (
    InstanceConvention,
    list_instance_criteria,
    rand_from_table,
    scores_from_table,
    voi_from_table,
)
from attacca.evaluators.table_evaluator import compare_blocks
from attacca.segmentation.agglomerate import agglomerate
from attacca.segmentation.choice_of_setting import choose_setting
from attacca.segmentation.fragments import fix_cell_size
from attacca.segmentation.graph import Graph
from attacca.segmentation.inputs import find_chunk_size
from attacca.segmentation.mean_affinity import merge_by_mean_affinity
from attacca.segmentation.pipeline import compute_graph, create_fragment_array
from attacca.segmentation.tuning_volume import TuningVolume

_MATCHED = ("average_precision", "f1_", "precision_")
"""Scores that compare objects, and are defined in a volume without objects if the segmentation has some."""


@dataclass(frozen=True)
class TuningResult:
    """All settings with their scores, and the chosen one.

    Args:
        table: one row for each setting: its parameters, ``voi_split``, ``voi_merge``, ``voi``,
            ``adapted_rand_error`` and the criterion, each a mean over the volumes, weighted by the voxels
            that count, and ``segments``, their number in all volumes.
        chosen: ``{"fragments": ..., "agglomeration": ..., "row": index into the table}``.
        criterion: the optimized score.
    """

    table: list[dict[str, Any]]
    chosen: dict[str, Any]
    criterion: str

    @property
    def fragments(self) -> FragmentSettings:
        """The chosen settings of fragments."""
        return FragmentSettings.model_validate(self.chosen["fragments"])

    @property
    def agglomeration(self) -> AgglomerationSettings:
        """The chosen settings of the agglomeration."""
        return AgglomerationSettings.model_validate(self.chosen["agglomeration"])

    def to_json(self) -> dict[str, Any]:
        """Return plain values, with null for scores that are not finite."""
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
    evaluation: EvaluationConfig | None = None,
    block_size: Sequence[int] | None = None,
    num_workers: int = 1,
) -> TuningResult:
    """Try every setting of a configuration and choose the best.

    Args:
        volumes: validation volumes.
        neighborhood: offset of each channel, in voxels.
        config: candidates of all settings.
        workdir: directory for fragments and graphs, which are removed after use.
        criterion: score to optimize, one of ``attacca.evaluators.instance_scores``; the configuration's own
            by default, else that of its kind of objects, ``voi`` or ``average_precision``.
        evaluation: conventions of the scores; the defaults of the configuration without it.
        block_size: world units; one chunk of the prediction by default.
        num_workers: threads.

    Returns:
        Table and choice; the table is empty if there is only one setting.

    Raises:
        ConfigurationError: the criterion is unknown, validation volumes are missing, or no setting has a
            finite score.

    Two objects in a row, with affinities of 0.4 between them and of 0.8 elsewhere:

    >>> from tempfile import TemporaryDirectory
    >>> temporary = TemporaryDirectory()
    >>> from funlib.geometry import Roi
    >>> from attacca.arrays import NumpyArray
    >>> affinities = np.full((1, 1, 1, 12), 0.8, np.float32)
    >>> affinities[..., 5] = 0.4
    >>> array = NumpyArray.from_np_array(
    ...     affinities, Roi((0, 0, 0), (1, 1, 12)), Coordinate((1, 1, 1)), ["c", "z", "y", "x"])
    >>> labels = np.repeat(np.array([1, 2], np.uint64), 6).reshape(1, 1, 12)
    >>> config = SegmentationConfig(chain="connected_components", threshold=[0.2, 0.6, 0.9], min_size=0)
    >>> result = tune([TuningVolume("cube", array, labels)], [[0, 0, 1]], config, temporary.name)
    >>> [(row["threshold"], round(row["voi"], 3)) for row in result.table], result.agglomeration.threshold
    ([(0.2, 1.0), (0.6, 0.0), (0.9, 1.0)], 0.6)
    """
    name = criterion or config.criterion or config.default_criterion
    evaluation = evaluation or EvaluationConfig()
    known = {item.name: item for item in list_instance_criteria(evaluation.iou_thresholds)}
    if name not in known:
        raise ConfigurationError(
            f"segmentation.criterion: found '{name}', expected one of {', '.join(sorted(known))}"
        )
    if config.is_fixed:
        fragments = config.fragment_candidates()[0]
        chosen = _describe_choice(fragments, config.agglomeration_candidates(fragments)[0], 0)
        return TuningResult([], chosen, name)
    if not volumes:
        raise ConfigurationError(
            "segmentation: several settings are to be tried, but found no validation volume; name one "
            "under volumes.validate, or give one value each for chain, bias, threshold and min_size"
        )
    # The chosen settings are applied in cells of the size in which they were tried.
    prediction = volumes[0].prediction
    cells = (
        find_chunk_size(prediction) if block_size is None else Coordinate(block_size)
    ) / prediction.voxel_size
    settings, rows = score_settings(
        volumes,
        neighborhood,
        config,
        workdir,
        criterion=name,
        evaluation=evaluation,
        block_size=block_size,
        num_workers=num_workers,
    )
    best = choose_setting(settings, rows, name, known[name].higher_is_better)
    return TuningResult(
        rows, _describe_choice(fix_cell_size(settings[best][0], cells), settings[best][1], best), name
    )


def score_settings(
    volumes: Sequence[TuningVolume],
    neighborhood: Sequence[Sequence[int]],
    config: SegmentationConfig,
    workdir: str | Path,
    *,
    criterion: str,
    evaluation: EvaluationConfig | None = None,
    block_size: Sequence[int] | None = None,
    num_workers: int = 1,
) -> tuple[list[tuple[FragmentSettings, AgglomerationSettings]], list[dict[str, Any]]]:
    """Score every setting of a configuration, even if there is only one.

    Args:
        volumes: validation volumes; all arguments are those of ``tune``.
        neighborhood: offset of each channel, in voxels.
        config: candidates of all settings.
        workdir: directory for fragments and graphs, which are removed after use.
        criterion: name of a score.
        evaluation: conventions of the scores; the defaults of the configuration without it.
        block_size: world units; one chunk of the prediction by default.
        num_workers: threads.

    Returns:
        The settings, and for each its row of the table of ``TuningResult``; an undefined score is nan.

    >>> from tempfile import mkdtemp
    >>> from funlib.geometry import Roi
    >>> from attacca.arrays import NumpyArray
    >>> roi, voxel_size = Roi((0, 0, 0), (1, 1, 4)), Coordinate((1, 1, 1))
    >>> affinities = np.array([[[[0.8, 0.4, 0.8, 0.0]]]], np.float32)
    >>> array = NumpyArray.from_np_array(affinities, roi, voxel_size, ["c", "z", "y", "x"])
    >>> volume = TuningVolume("cube", array, np.array([[[1, 1, 2, 2]]], np.uint64))
    >>> config = SegmentationConfig(chain="connected_components", threshold=0.6, min_size=0)
    >>> settings, rows = score_settings([volume], [[0, 0, 1]], config, mkdtemp(), criterion="voi")
    >>> len(settings), rows[0]["threshold"], rows[0]["voi"]
    (1, 0.6, 0.0)
    """
    evaluation = evaluation or EvaluationConfig()
    rows: list[dict[str, Any]] = []
    settings: list[tuple[FragmentSettings, AgglomerationSettings]] = []
    has_objects = False
    for number, fragments in enumerate(config.fragment_candidates()):
        agglomerations = config.agglomeration_candidates(fragments)
        scores = []
        for volume in volumes:
            directory = Path(workdir) / f"fragments-{number}-{volume.name}"
            try:
                graph, table = _prepare(
                    volume,
                    neighborhood,
                    fragments,
                    agglomerations,
                    directory,
                    evaluation,
                    None if block_size is None else _scale_block(block_size, volumes[0], volume),
                    num_workers,
                )
                has_objects |= bool((table.ground_truth > 0).any())
                scores.append(_score_all(graph, table, agglomerations, evaluation, criterion))
            finally:
                shutil.rmtree(directory, ignore_errors=True)
        if criterion.startswith(_MATCHED) and not has_objects:
            raise ConfigurationError(
                f"no validation volume has an object, so that no setting has a meaningful {criterion}; "
                "validate on volumes that have labels inside the mask"
            )
        for i, agglomeration in enumerate(agglomerations):
            settings.append((fragments, agglomeration))
            rows.append(
                {
                    **_describe_settings(fragments, agglomeration),
                    **_average([volume[i] for volume in scores], criterion),
                }
            )
    return settings, rows


def _scale_block(block_size: Sequence[int], first: TuningVolume, volume: TuningVolume) -> Coordinate:
    """Return a block of as many voxels of a volume as ``block_size``, in world units, has of the first volume."""
    return Coordinate(block_size) / first.prediction.voxel_size * volume.prediction.voxel_size


def _describe_choice(
    fragments: FragmentSettings, agglomeration: AgglomerationSettings, row: int
) -> dict[str, Any]:
    return {
        "fragments": fragments.model_dump(mode="json"),
        "agglomeration": agglomeration.model_dump(mode="json"),
        "row": row,
    }


def _describe_settings(fragments: FragmentSettings, agglomeration: AgglomerationSettings) -> dict[str, Any]:
    """Return the settings that a row of the table shows."""
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


def _average(scores: list[dict[str, float]], criterion: str) -> dict[str, float]:
    """Return the mean of each score over the volumes, and the sum of the segments.

    Scores beside the criterion are means of the volumes in which they are defined.
    """
    weights = np.array([score["weight"] for score in scores])
    if weights.sum() == 0:
        weights = np.ones(len(scores))
    result = {}
    for name in scores[0]:
        if name == "weight":
            continue
        values = np.array([score[name] for score in scores])
        counted = (weights > 0) & (np.isfinite(values) | (name == criterion))
        mean = np.average(values[counted], weights=weights[counted]) if counted.any() else np.nan
        result[name] = float(mean)
    result["segments"] = sum(score["segments"] for score in scores)
    return result


def _prepare(
    volume: TuningVolume,
    neighborhood: Sequence[Sequence[int]],
    settings: FragmentSettings,
    agglomerations: Sequence[AgglomerationSettings],
    directory: Path,
    evaluation: EvaluationConfig,
    block_size: Sequence[int] | None,
    num_workers: int,
) -> tuple[Graph, ContingencyTable]:
    """Step 1 for one volume: return the graph and the contingency table of its fragments."""
    prediction = volume.prediction
    size = find_chunk_size(prediction) if block_size is None else Coordinate(block_size)
    fragments = create_fragment_array(directory, prediction, size)
    grid = BlockGrid(fragments.roi, size, fragments.voxel_size)
    # One graph serves all agglomerations: it counts long-range affinities if any of them needs these.
    most = next((a for a in agglomerations if a.method == "mutex_watershed"), agglomerations[0])
    graph = compute_graph(
        prediction,
        fragments,
        neighborhood,
        fix_cell_size(settings, grid.block_size / prediction.voxel_size),
        most,
        directory / "graph",
        grid,
        num_workers=num_workers,
        mask=volume.mask,
    )
    rules = GroundTruthRules.from_config(evaluation, volume.unlabelled)
    overlaps = directory / "overlaps"
    compared = compare_blocks(fragments, volume.open_ground_truth(), overlaps, rules, mask=volume.counted)
    return graph, compared.collect()


def _score_all(
    graph: Graph,
    table: ContingencyTable,
    agglomerations: Sequence[AgglomerationSettings],
    evaluation: EvaluationConfig,
    criterion: str,
) -> list[dict[str, float]]:
    """Step 2 for one volume: return the scores of each agglomeration.

    In a volume without objects, scores of matched objects count false objects, and are perfect without them.
    """
    convention = InstanceConvention.from_config(evaluation)
    is_object = table.ground_truth > 0
    only_false_objects = criterion.startswith(_MATCHED) and not is_object.any()
    annotated = is_object if evaluation.ignore_background and not only_false_objects else slice(None)
    weight = float(table.count[annotated].sum())
    thresholds = [a.threshold for a in agglomerations if a.method == "mean_affinity"]
    merges = merge_by_mean_affinity(graph, min(thresholds)) if thresholds else None
    ids, rows = np.unique(table.segment, return_inverse=True)
    scores = []
    for settings in agglomerations:
        lookup = agglomerate(graph, settings, merges)
        renamed = ContingencyTable.from_rows(lookup.map_ids(ids)[rows], table.ground_truth, table.count)
        voi, rand = voi_from_table(renamed, convention), rand_from_table(renamed, convention)
        score = {
            "voi_split": voi.split,
            "voi_merge": voi.merge,
            "voi": voi.total,
            "adapted_rand_error": rand.error,
            "segments": lookup.num_segments,
            "weight": weight,
        }
        if criterion not in score:
            all_scores = scores_from_table(renamed, convention, evaluation.iou_thresholds)
            score[criterion] = all_scores.value(criterion)
            if only_false_objects and weight and np.isnan(score[criterion]):
                score[criterion] = 1.0
        scores.append(score)
    return scores
