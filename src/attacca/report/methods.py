"""Text on the methods of a run for a publication: data, model, settings, scores, software, and the works to cite."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from attacca.config.task import TaskConfig
from attacca.config.units import SYMBOLS
from attacca.report.citations import format_bibliography
from attacca.report.facts import as_mapping, join_lengths
from attacca.report.method_details import (
    describe_augmentation,
    describe_debris,
    describe_fragments,
    describe_unlabelled,
)
from attacca.report.results import Results, read_json
from attacca.report.scores import Score
from attacca.version import __version__

_LIBRARIES = {
    "python": "Python",
    "torch": "PyTorch",
    "snakemake": "Snakemake",
    "numpy": "NumPy",
    "zarr": "Zarr",
}
_CHAINS = {
    "seeded": "a seeded watershed",
    "mutex_watershed": "the mutex watershed",
    "connected_components": "connected components above a threshold",
}
_OPTIMIZERS = {"adamw": "AdamW", "radam": "RAdam", "muon": "Muon"}
_METHODS = {
    "mean_affinity": "agglomeration by mean affinity",
    "mutex_watershed": "a mutex watershed of the region graph",
    "contact": "agglomeration by contact",
}


@dataclass(frozen=True)
class Methods:
    """Text for a publication.

    Attributes:
        text: paragraph on data, model, settings, scores and software.
        bibliography: BibTeX entries of the works that the run builds on.
    """

    text: str
    bibliography: str


def describe_methods(
    results: Results,
    run: str,
    config: Mapping[str, Any],
    task: TaskConfig | None,
    criterion: str | None,
    scores: Mapping[str, Sequence[Score]],
) -> Methods:
    """Describe a run in a paragraph that can be pasted into a paper.

    Args:
        results: results of all runs.
        run: name of the run.
        config: its section of the configuration.
        task: its task; None if the section does not describe one.
        criterion: score that chose the settings.
        scores: scores of each test volume.
    """
    provenance = read_json(results.layout.provenance(run))
    versions = as_mapping(provenance.get("versions"))
    version = str(versions.get("attacca", __version__))
    sentences = [
        f"Volumes were segmented with Attacca {version}, a Snakemake workflow.",
        _describe_model(results, run, config, task),
        _describe_settings(results, run, config, criterion),
        *_describe_scores(results, scores),
        _describe_software(versions, provenance),
    ]
    text = " ".join(sentence for sentence in sentences if sentence)
    is_unet = as_mapping(config.get("architecture")).get("type") == "unet"
    keys = [
        "attacca",
        "snakemake",
        *(["unet"] if is_unet else []),
        *(["muon"] if _read_optimizer(config).get("type") == "muon" else []),
        *_list_citations(results, run, task, scores),
    ]
    return Methods(text, format_bibliography(keys, version))


def _read_optimizer(config: Mapping[str, Any]) -> Mapping[str, Any]:
    return as_mapping(as_mapping(config.get("training")).get("optimizer"))


def _describe_model(results: Results, run: str, config: Mapping[str, Any], task: TaskConfig | None) -> str:
    training, architecture = as_mapping(config.get("training")), as_mapping(config.get("architecture"))
    result = as_mapping(read_json(results.layout.training_manifest(run)).get("result"))
    names = as_mapping(config.get("volumes")).get("train") or []
    kind = "U-Net" if architecture.get("type") == "unet" else "network"
    details = []
    if isinstance(result.get("parameters"), int):
        details.append(f"{result['parameters']:,} parameters")
    for key, label in (("channels", "channels"), ("input_shape", "input")):
        value = architecture.get(key)
        if value:
            details.append(f"{label} {', '.join(map(str, value))}")
    text = f"A {kind}{_in_brackets(details)} was trained"
    if names:
        text += f" on {_join([_name_volume(results, str(name)) for name in names])}"
    text += f" to predict {_describe_targets(task)}" if task is not None else ""
    details = []
    for key, label in (("iterations", "{} iterations"), ("batch_size", "batches of {}")):
        if training.get(key) is not None:
            details.append(label.format(training[key]))
    optimizer = _read_optimizer(config)
    if optimizer.get("learning_rate") is not None:
        details.append(
            f"{_OPTIMIZERS.get(str(optimizer.get('type')), '')}, learning rate {optimizer['learning_rate']:g}"
        )
    augmentation = describe_augmentation(training)
    if augmentation:
        details.append(f"augmentation: {augmentation}")
    if config.get("seed") is not None:
        details.append(f"seed {config['seed']}")
    text += _in_brackets(details)
    best = as_mapping(result.get("best"))
    if best.get("iteration") is not None:
        text += f"; the checkpoint of iteration {best['iteration']} was used"
    ignored = describe_unlabelled(results, run, [str(name) for name in names])
    if ignored:
        text += f". {_join(ignored)} did not count, since they or their neighbors are not annotated"
    return f"{text}."


def _describe_targets(task: TaskConfig) -> str:
    learned = task.learned_task
    if learned.offsets:
        has_descriptors = len(learned.offsets) != learned.num_channels
        text = f"affinities to {len(learned.offsets)} neighbors"
        return f"{text} and local shape descriptors" if has_descriptors else text
    name = str(type(learned).model_fields["type"].default)
    values = {"one_hot": "probabilities", "distance": "signed distances to the boundary"}.get(
        name, "distances to the boundary"
    )
    return f"{values} of {_join(list(task.class_names))}" if task.class_names else values


def _describe_settings(results: Results, run: str, config: Mapping[str, Any], criterion: str | None) -> str:
    result = as_mapping(read_json(results.layout.tuning(run)).get("result"))
    chosen = as_mapping(result.get("chosen"))
    fragments, agglomeration = as_mapping(chosen.get("fragments")), as_mapping(chosen.get("agglomeration"))
    if fragments:
        text = f"Affinities were segmented by {_CHAINS.get(str(fragments.get('chain')), 'a watershed')}"
        text += describe_fragments(fragments)
        method = _METHODS.get(str(agglomeration.get("method")))
        if method:
            text += f", followed by {method} (threshold {agglomeration.get('threshold')})"
        debris = describe_debris(agglomeration)
        text += f"; {debris}" if debris else ""
    elif isinstance(chosen.get("threshold"), int | float):
        text = f"Predictions were segmented at the threshold {chosen['threshold']:g}"
    else:
        return ""
    table = result.get("table")
    names = [str(name) for name in as_mapping(config.get("volumes")).get("validate") or []]
    if isinstance(table, list) and table and names:
        name = Score(criterion, math.nan).label if criterion else "score"
        text += (
            f"; these settings were chosen among {len(table)} by their {name} on "
            f"{_join([_name_volume(results, name) for name in names])}"
        )
    return f"{text}."


def _describe_scores(results: Results, scores: Mapping[str, Sequence[Score]]) -> list[str]:
    sentences = []
    for volume, values in scores.items():
        by_name = {score.name: score for score in values}
        parts = []
        if {"voi", "voi_split", "voi_merge"} <= by_name.keys():
            voi, split, merge = (by_name[name].text for name in ("voi", "voi_split", "voi_merge"))
            parts.append(f"the variation of information is {voi} bits (split {split}, merge {merge})")
        if "adapted_rand_error" in by_name:
            parts.append(f"the adapted Rand error is {by_name['adapted_rand_error'].text}")
        parts += (
            [f"{score.label} is {score.text}" for score in values if score.name in ("dice", "jaccard")]
            if not parts
            else []
        )
        if parts:
            sentences.append(f"On the held-out volume {_name_volume(results, volume)}, {_join(parts)}.")
    return sentences


def _describe_software(versions: Mapping[str, Any], provenance: Mapping[str, Any]) -> str:
    names = [f"{label} {versions[key]}" for key, label in _LIBRARIES.items() if versions.get(key)]
    text = f"Software: {', '.join(names)}." if names else ""
    digest = provenance.get("configuration digest")
    return f"{text} SHA-256 of the configuration: {digest}." if digest else text


def _list_citations(
    results: Results, run: str, task: TaskConfig | None, scores: Mapping[str, Sequence[Score]]
) -> list[str]:
    chosen = as_mapping(as_mapping(read_json(results.layout.tuning(run)).get("result")).get("chosen"))
    used = {
        str(as_mapping(chosen.get("fragments")).get("chain")),
        str(as_mapping(chosen.get("agglomeration")).get("method")),
    }
    keys = []
    if task is not None and task.offsets:
        keys.append("affinities")
        keys += ["lsds"] if len(task.offsets) != task.learned_task.num_channels else []
    keys += [key for key in ("mutex_watershed", "mean_affinity") if key in used]
    names = {score.name for values in scores.values() for score in values}
    keys += ["voi"] if "voi" in names else []
    keys += ["rand"] if "adapted_rand_error" in names else []
    return [*keys, "ome_zarr"]


def _name_volume(results: Results, volume: str) -> str:
    """Return the name of a volume with its shape and voxel size, as far as they are known."""
    raw = as_mapping(as_mapping(results.volume_result(volume).get("arrays")).get("raw"))
    shape, size = raw.get("shape"), raw.get("voxel_size")
    if not isinstance(shape, list) or not isinstance(size, list):
        return volume
    unit = SYMBOLS.get(str(raw.get("unit")), str(raw.get("unit") or ""))
    return f"{volume} ({join_lengths(shape)} voxels of {join_lengths(size)} {unit})"


def _join(parts: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(parts[:-1]), parts[-1])))


def _in_brackets(parts: Sequence[str]) -> str:
    return f" ({', '.join(parts)})" if parts else ""
