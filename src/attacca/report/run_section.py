"""The part of the page about one run: configuration, training, tuning, volumes, provenance."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from attacca.config.task import TaskConfig
from attacca.config.tasks import read_task_config
from attacca.report.choice import Choice, list_chosen_settings, read_choice
from attacca.report.drawings import make_chart
from attacca.report.facts import Fact, as_mapping, describe_configuration
from attacca.report.fallback import compute_or
from attacca.report.methods import Methods, describe_methods
from attacca.report.pictures import Picture
from attacca.report.provenance_tables import list_block_times, list_output_digests, read_provenance_facts
from attacca.report.results import Results, read_json, read_table
from attacca.report.training_plots import draw_snapshot, plot_training_curve
from attacca.report.tuning_plots import plot_criterion, plot_split_and_merge
from attacca.report.volume_section import VolumeSection, make_volume_section

_MAX_SNAPSHOTS = 4

_AFFINITY_NOTE = (
    "Affinities are the probabilities that a voxel and its neighbor along x, y and z belong to the same object, in three "
    "colors that add up to white. Inside objects all are high: white. At a boundary they are low: black. Where only one of "
    "them is low, the picture has the color below it."
)


@dataclass
class RunSection:
    """One run.

    Attributes:
        name: name of the run.
        criterion: the score that chooses settings; None if it is not known.
        facts: summary of the configuration.
        curve: chart of the training curve, or empty.
        training_note: a sentence if the training is not finished.
        channel_note: meaning of the colors of affinities; empty for other tasks.
        snapshots: title and pictures of training batches.
        tuning: chart of the settings that were tried, or empty.
        tuning_caption: caption of ``tuning``.
        chosen: the principal chosen settings.
        chosen_too: the other settings in effect.
        tuning_note: number of settings, or the reason why nothing was compared.
        volumes: validation volumes, then test volumes.
        provenance: versions, seeds, hardware, digests.
        blocks: result, volume, blocks and time of each stage over a volume.
        outputs: stage, volume, name and digest of each output.
        methods: text for a publication.
    """

    name: str
    criterion: str | None
    facts: list[Fact]
    curve: str = ""
    training_note: str = ""
    channel_note: str = ""
    snapshots: list[tuple[str, list[Picture]]] = field(default_factory=list)
    tuning: str = ""
    tuning_caption: str = ""
    chosen: list[Fact] = field(default_factory=list)
    chosen_too: list[Fact] = field(default_factory=list)
    tuning_note: str = ""
    volumes: list[VolumeSection] = field(default_factory=list)
    provenance: list[Fact] = field(default_factory=list)
    blocks: list[tuple[str, ...]] = field(default_factory=list)
    outputs: list[tuple[str, ...]] = field(default_factory=list)
    methods: Methods | None = None


def make_run_section(
    results: Results, name: str, config: Mapping[str, Any], volumes: Mapping[str, Any]
) -> RunSection:
    """Collect everything that the page shows of a run.

    Args:
        results: results of all runs.
        name: name of the run.
        config: section of the run in the configuration; if empty, the one that was recorded at its start.
        volumes: sections of all volumes.
    """
    config = config or read_json(results.layout.run_record(name))
    task = compute_or(None, f"the task of {name}", lambda: _read_task(config))
    section = RunSection(name, _find_criterion(config), describe_configuration(config, task))
    section.channel_note = _AFFINITY_NOTE if task is not None and task.offsets else ""
    is_applied = bool(config.get("model")) and not as_mapping(config.get("volumes")).get("train")
    _add_training(section, results, task, is_applied)
    _add_tuning(section, results)
    for volume, purpose in _list_segmented(results, name, config):
        values = as_mapping(volumes.get(volume))
        has_labels = bool(values.get("labels") or values.get("synthetic"))
        section.volumes.append(make_volume_section(results, name, volume, purpose, has_labels, task))
    section.provenance = compute_or([], "the provenance", lambda: read_provenance_facts(results, name))
    section.blocks = compute_or([], "the table of blocks", lambda: list_block_times(results, name))
    section.outputs = compute_or([], "the digests", lambda: list_output_digests(results, name))
    scores = {
        volume.name: volume.scores for volume in section.volumes if volume.purpose == "test" and volume.scores
    }
    section.methods = compute_or(
        None, "the methods", lambda: describe_methods(results, name, config, task, section.criterion, scores)
    )
    return section


def _read_task(config: Mapping[str, Any]) -> TaskConfig | None:
    return read_task_config(config["task"]) if config.get("task") else None


def _find_criterion(config: Mapping[str, Any]) -> str | None:
    """Return the score by which the tuner chooses settings, if the configuration names it."""
    for key in ("segmentation", "evaluation"):
        value = as_mapping(config.get(key)).get("criterion")
        if isinstance(value, str):
            return value
    return None


def _list_segmented(results: Results, run: str, config: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return names and purposes of the volumes that a run segments."""
    names = as_mapping(config.get("volumes"))
    volumes = [(str(name), "validation") for name in names.get("validate") or names.get("validation") or []]
    volumes += [(str(name), "test") for name in names.get("test") or []]
    return volumes or [(volume, "test") for volume in results.list_volumes(run)]


def _add_training(section: RunSection, results: Results, task: TaskConfig | None, is_applied: bool) -> None:
    name = section.name
    files = results.layout.training_files(name)
    manifest = read_json(results.layout.training_manifest(name))
    initial = read_json(files.initial_weights).get("summary")
    if initial:
        section.facts.append(Fact("initial weights", str(initial)))
    section.curve = compute_or(
        "",
        "the training curve",
        lambda: make_chart(
            lambda compact: plot_training_curve(
                read_table(files.metrics),
                results.validation_curves(name),
                _find_best_iteration(results, name, manifest),
                f"training-{name}{'-compact' * compact}",
                compact,
            )
        ),
    )
    if is_applied:
        section.training_note = "This run applies the network of a model file, and trains nothing."
    elif not section.curve:
        section.training_note = "The training has not written its curve yet."
    elif not manifest:
        section.training_note = "The training has not finished: this is its curve so far."
    paths = results.snapshots(name)
    # The first, the last, and some between.
    indices = np.linspace(0, len(paths) - 1, min(_MAX_SNAPSHOTS, len(paths))).round().astype(int)
    for path in dict.fromkeys(paths[index] for index in indices):
        no_pictures: list[Picture] = []
        pictures = compute_or(no_pictures, f"the snapshot {path.name}", partial(draw_snapshot, path, task))
        if pictures:
            section.snapshots.append((_format_snapshot_title(path.stem), pictures))


def _format_snapshot_title(stem: str) -> str:
    digits = "".join(character for character in stem if character.isdigit())
    return f"iteration {int(digits)}" if digits else stem.replace("_", " ")


def _find_best_iteration(results: Results, name: str, manifest: Mapping[str, Any]) -> int | None:
    """Return the iteration of the checkpoint that predicts, from the manifest or, before it, from ``best.json``."""
    result = as_mapping(manifest.get("result"))
    best = as_mapping(result.get("best")) or read_json(results.layout.training_files(name).best)
    if isinstance(best.get("iteration"), int):
        return int(best["iteration"])
    file = str(result.get("best_file") or best.get("file") or "")
    digits = "".join(character for character in file if character.isdigit())
    return int(digits) if digits else None


def _add_tuning(section: RunSection, results: Results) -> None:
    tuning = read_json(results.layout.tuning(section.name))
    choice = compute_or(Choice(), "the choice of settings", lambda: read_choice(tuning))
    plot_name, subject = f"tuning-{section.name}", "the plot of settings"

    def draw(plot: Callable[[Choice, str, bool], str]) -> str:
        return make_chart(lambda compact: plot(choice, f"{plot_name}{'-compact' * compact}", compact))

    section.tuning = compute_or("", subject, lambda: draw(plot_split_and_merge))
    section.tuning_caption = "Lower left is better. Dotted lines join equal sums of split and merge."
    if not section.tuning:
        section.tuning = compute_or("", subject, lambda: draw(plot_criterion))
        section.tuning_caption = f"{'Higher' if choice.higher_is_better else 'Lower'} is better."
    section.criterion = section.criterion or choice.criterion
    section.chosen, section.chosen_too = compute_or(
        (section.chosen, section.chosen_too), "the chosen settings", lambda: list_chosen_settings(choice)
    )
    if choice.rows:
        section.tuning_note = f"{len(choice.rows)} settings were compared on the validation volumes."
    elif tuning:
        section.tuning_note = "There was only one setting, or no validation volume for a comparison."
    else:
        section.tuning_note = "Settings have not been chosen yet."
