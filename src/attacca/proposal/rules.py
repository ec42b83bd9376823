"""Rules that choose task, network, training and segmentation from measurements of the data.

Each rule returns choices: a value and its reason. ``docs/choosing.md`` lists the rules as a table, with evidence.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from attacca.architectures.intensity import Intensity
from attacca.config.run import RunConfig
from attacca.config.units import find_largest_difference
from attacca.costs.network_cost import training_seconds, training_speedup
from attacca.errors import ConfigurationError
from attacca.proposal.choices import Choice, Kind, Machine, Scale, strip_reasons
from attacca.proposal.division import Division
from attacca.proposal.examination import VolumeFacts
from attacca.proposal.network_rules import choose_architecture

SPARSE_ABOVE = 0.5
"""Share of voxels with the value 0 above which ids are objects in background."""
THIN_BELOW = 6.0
"""Ratio of the diameter of the pieces of a value and of their width above which the value is a network of boundaries."""
RARE_BELOW = 0.02
"""Share of the rarest class below which loss weights are balanced."""

_MOST_STEPS = {False: 20_000, True: 100_000}
_FEWEST_STEPS = 200
LARGEST_TOLERANCE = 0.2
"""Relative difference of voxel sizes up to which volumes are treated as equal."""
LARGEST_SHIFT = 0.2
"""Share of the range of an image by which black and white of others may differ, before each image has its own."""
_LONGEST_OFFSET = 27
_ASKED_ABOVE = 0.01
"""Share of voxels with the value 0 above which ``attacca init`` asks whether they are annotated."""


@dataclass(frozen=True)
class Proposal:
    """Chosen settings of a run.

    Attributes:
        kind: kind of the labels.
        name: name of the run.
        run: section of the run; values may be choices.
        volumes: sections of the volumes.
        questions: facts that the files do not contain, and the assumptions that were made.
    """

    kind: Kind
    name: str
    run: dict[str, Any]
    volumes: dict[str, Any]
    questions: list[str]


def propose(
    facts: Sequence[VolumeFacts],
    division: Division,
    machine: Machine,
    contents: Literal["instances", "classes"] | None = None,
    names: Sequence[str] = (),
) -> Proposal:
    """Return settings for measured volumes.

    Args:
        facts: measurements of all volumes.
        division: purposes of the volumes.
        machine: resources.
        contents: contents of the labels, if the user states them.
        names: names of classes, from value 0 on, or of the objects.

    Raises:
        ConfigurationError: volumes do not fit each other, or the names do not fit the labels.
    """
    labeled = [item for item in facts if item.labels is not None]
    tolerance = find_tolerance(facts)
    kind = find_kind(labeled, contents)
    scale = Scale.measure(labeled)
    questions: list[str] = []
    volumes = {name: dict(settings) for name, settings in division.volumes.items()}
    task = choose_task(kind, labeled, scale, names, volumes, questions)
    architecture = choose_architecture(kind, scale, division.train_shape, machine)
    training = choose_training(facts, scale, machine)
    if tolerance:
        training["voxel_size_tolerance"] = Choice(
            tolerance, "voxel sizes differ slightly; the network sees the voxels of each volume as they are"
        )
    run: dict[str, Any] = {"task": task, "architecture": architecture, "training": training}
    segmentation = choose_segmentation(kind, labeled, scale)
    if segmentation:
        run["segmentation"] = segmentation
    if kind == "sparse instances":
        run["evaluation"] = {
            "criterion": Choice(
                "average_precision",
                "counts objects in the background as errors; variation of information ignores them",
            )
        }
    run["volumes"] = {
        "train": Choice(list(division.train), division.reason),
        "validate": Choice(
            list(division.validate), "checkpoint and settings of the segmentation are chosen on these"
        ),
        "test": Choice(list(division.test), "no choice depends on these"),
    }
    run["seed"] = 1
    training["iterations"] = choose_iterations(run, machine)
    return Proposal(kind, kind.replace(" ", "-"), run, volumes, questions)


def find_tolerance(facts: Sequence[VolumeFacts]) -> float:
    """Return the tolerance that the voxel sizes need; 0 if they are equal.

    Raises:
        ConfigurationError: one run cannot contain the volumes: numbers of axes or units differ, or voxel sizes by more
            than the largest tolerance.
    """
    first = facts[0]
    differences = []
    for item in facts[1:]:
        is_similar = item.dims == first.dims and item.unit == first.unit
        differences.append(find_largest_difference(item.voxel_size, first.voxel_size) if is_similar else 1.0)
    largest = max(differences, default=0.0)
    if largest > LARGEST_TOLERANCE:
        text = "; ".join(f"{item.name} has {list(item.voxel_size)} {item.unit}" for item in facts)
        raise ConfigurationError(
            f"found different voxel sizes: {text}",
            fix="resample the volumes, or start a configuration for each size",
        )
    return math.ceil(100 * largest) / 100


def find_kind(
    labeled: Sequence[VolumeFacts], contents: Literal["instances", "classes"] | None = None
) -> Kind:
    """Return the kind of the labels of all volumes.

    1. One value: boundaries if its pieces are thin and extended, or if it fills most of the volume; objects otherwise.
    2. At most 20 values, with four or more pieces each on average: classes.
    3. Other values are ids: sparse if more than half of the annotated voxels are 0, dense otherwise.

    Args:
        labeled: measurements of the volumes with labels.
        contents: contents of the labels, if the user states them.

    Raises:
        ConfigurationError: the labels contain no object, or nothing else.
    """
    labels = [item.labels for item in labeled if item.labels is not None]
    ids = {value for item in labels for value in item.ids}
    zero = sum(item.zero_share for item in labels) / len(labels)
    if not ids:
        raise ConfigurationError(
            "the labels contain no object, only 0", fix="check the paths of the labels, or --unlabelled"
        )
    if len(ids) == 1 and contents != "instances":
        if zero == 0:
            raise ConfigurationError(
                f"all annotated voxels of the labels hold the value {ids.pop()}, so that there is nothing to distinguish",
                fix="check the paths of the labels; labels of 1 in objects need 0 in the voxels outside",
            )
        ratio = max(item.diameter / item.width for item in labels if item.width)
        return "boundaries" if zero < SPARSE_ABOVE or ratio > THIN_BELOW else "objects"
    pieces = sum(item.pieces * len(item.ids) for item in labels) / sum(len(item.ids) for item in labels)
    if contents == "classes" or (contents is None and len(ids) <= 20 and pieces >= 4):
        return "classes"
    return "sparse instances" if zero > SPARSE_ABOVE else "dense instances"


def choose_task(
    kind: Kind,
    labeled: Sequence[VolumeFacts],
    scale: Scale,
    names: Sequence[str],
    volumes: dict[str, Any],
    questions: list[str],
) -> dict[str, Any]:
    """Return the section ``task``.

    Args:
        kind: kind of the labels.
        labeled: measurements of the volumes with labels.
        scale: sizes.
        names: names of classes or objects that the user states.
        volumes: sections of the volumes; classes in other values than 0, 1, 2, ... are added to them.
        questions: receives assumptions that the user has to confirm.
    """
    zero = _zero_share(labeled)
    count = sum(len(item.labels.ids) for item in labeled if item.labels is not None)
    _check_names(kind, names)
    if kind in ("dense instances", "sparse instances"):
        found = f"{count} ids, {100 * zero:.0f} % of the annotated voxels are 0"
        if kind == "dense instances":
            reason = f"{found}: objects fill the volume, so their contacts decide"
        else:
            reason = f"{found}: objects in background, of which affinities of 0 are learned"
        if zero > _ASKED_ABOVE:
            empty = {item.name: item.labels.empty_sections for item in labeled if item.labels is not None}
            sections = "".join(
                f"{number} sections of {name} hold only 0 between sections that are mostly full. "
                for name, number in empty.items()
                if number
            )
            questions.append(
                f"{sections}{100 * zero:.0f} % of the labels are 0, which is taken as background. If these voxels were not "
                "annotated, repeat with --unlabelled 0"
            )
        return {"type": Choice("affinities", reason), "neighborhood": choose_neighborhood(kind, scale)}
    if kind == "objects":
        name = (list(names) or ["objects"])[-1]
        return {
            "type": Choice(
                "distance",
                f"one value for all objects, {100 * (1 - zero):.0f} % of the voxels: distances to their boundary",
            ),
            "channels": Choice([name], "any value above 0 is foreground"),
            "scale_factor": Choice(max(1, round(scale.width / 3)), "a third of the width of the objects"),
            "clip_distance": Choice(max(1, round(scale.width)), "the width of the objects; for scores only"),
            "tol_distance": Choice(max(scale.voxel_size), "one voxel of the coarsest axis; for scores only"),
        }
    return _choose_classes(kind, labeled, names, volumes, questions)


def _check_names(kind: Kind, names: Sequence[str]) -> None:
    """Raise an error for names of classes that the labels do not have; those of classes are counted later."""
    if names and kind in ("dense instances", "sparse instances"):
        raise ConfigurationError(
            f"--classes: found {', '.join(names)}, but the labels hold one id per object, without classes",
            fix="omit --classes, or state --labels classes",
        )
    if kind == "objects" and len(names) > 2:
        raise ConfigurationError(
            f"--classes: found {len(names)} names ({', '.join(names)}), expected the names of 0 and of the only other "
            "value, or of that value alone"
        )


def _choose_classes(
    kind: Kind,
    labeled: Sequence[VolumeFacts],
    names: Sequence[str],
    volumes: dict[str, Any],
    questions: list[str],
) -> dict[str, Any]:
    ids = sorted({value for item in labeled if item.labels is not None for value in item.labels.ids})
    if names and len(names) != len(ids) + 1:
        raise ConfigurationError(
            f"--classes: found {len(names)} names ({', '.join(names)}), expected {len(ids) + 1}, for the values "
            f"{', '.join(map(str, [0, *ids]))}"
        )
    if not names:
        generic = ["background", "foreground"] if len(ids) == 1 else [f"class-{value}" for value in [0, *ids]]
        names = generic
        questions.append(
            f"the names of the values {', '.join(map(str, [0, *ids]))} are not stored in the files: rename the classes, or "
            f"repeat with --classes {','.join(generic)}"
        )
    if ids != list(range(1, len(ids) + 1)):
        # Label values of a task count from 0.
        for settings in volumes.values():
            if "labels" in settings:
                source = {key: value for key, value in settings["labels"].items() if key != "unlabelled"}
                classes = [{"name": name, **source, "values": [value]} for name, value in zip(names[1:], ids)]
                settings["labels"] = {
                    "classes": Choice(classes, "the first class becomes the value 1, the next 2")
                }
    zero = _zero_share(labeled)
    reason = (
        f"one value in {100 * (1 - zero):.0f} % of the voxels, thin or enclosed by thin boundaries: each voxel has a class"
        if kind == "boundaries"
        else f"{len(ids)} values with many pieces each: each voxel has a class"
    )
    task = {
        "type": Choice("one_hot", reason),
        "classes": Choice(list(names), "in the order of the label values, from 0"),
    }
    # Balanced weights widen rare classes. Without them, a class of 0.5 % was not learned.
    if min(item.labels.rarest_share for item in labeled if item.labels is not None) < RARE_BELOW:
        task["balance_classes"] = Choice(True, "rare classes have as much weight as frequent ones")
    return task


def choose_neighborhood(kind: Kind, scale: Scale) -> Choice:
    """Return the offsets of affinities: nearest neighbors, then long-range offsets by the width of the objects.

    >>> scale = Scale((40, 4, 4), width=80.0, diameter=300.0, fewest_voxels=1000)
    >>> choose_neighborhood("dense instances", scale).value
    [[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 4, 0], [0, 0, 4], [0, 13, 0], [0, 0, 13]]
    """
    dims = scale.dims
    offsets = [[int(axis == other) for other in range(dims)] for axis in range(dims)]
    parts = (scale.width / 5, 2 * scale.width / 3) if kind == "dense instances" else (scale.width / 2,)
    for distance in parts:
        for axis in range(dims):
            offset = [0] * dims
            offset[axis] = min(
                _LONGEST_OFFSET, max(scale.steps(distance, axis), 2 if axis >= dims - 2 else 1)
            )
            if offset not in offsets:
                offsets.append(offset)
    fractions = "a fifth and two thirds" if len(parts) == 2 else "half"
    return Choice(
        offsets, f"nearest neighbors, and {fractions} of the median width of the objects ({scale.width:.0f})"
    )


def choose_training(facts: Sequence[VolumeFacts], scale: Scale, machine: Machine) -> dict[str, Any]:
    """Return the section ``training``, except the number of iterations."""
    training: dict[str, Any] = {
        "iterations": None,
        "batch_size": Choice(
            2, "two small samples are faster than a large one on a CPU, and less similar to each other"
        ),
        "torch_threads": Choice(
            max(1, min(8, machine.cores - 1)),
            "one core prepares the samples; the number changes the last digits of results",
        ),
    }
    training["optimizer"] = {
        "type": Choice("muon", "learns in fewer iterations than the default, adamw (docs/accuracy.md)")
    }
    intensity = choose_intensity(facts)
    if intensity is not None:
        training["intensity"] = intensity
    if scale.dims == 3 and scale.ratios[0] >= 4:
        training["augmentation"] = {
            "intensity": {"per_section": Choice(True, "brightness and contrast of serial sections vary")}
        }
    return training


def choose_intensity(facts: Sequence[VolumeFacts]) -> Choice | None:
    """Return the gray values of black and white, or percentiles of each volume; None if the range of the type fits."""
    if _differ_in_intensity(facts):
        return Choice(
            {"percentiles": [0.5, 99.5]},
            "brightness or contrast differ between the images: black and white are taken from each",
        )
    low = min(item.intensity[1] for item in facts)
    high = max(item.intensity[2] for item in facts)
    default = Intensity.for_dtype(facts[0].dtype)
    fits = default.minimum <= low and high <= default.maximum
    if (fits and high - low >= (default.maximum - default.minimum) / 3) or not high > low:
        return None
    values = [round(value) if high - low > 20 else float(f"{value:.4g}") for value in (low, high)]
    return Choice(values, f"0.5th and 99.5th percentile of the images, of type {facts[0].dtype}")


def _differ_in_intensity(facts: Sequence[VolumeFacts]) -> bool:
    """Return whether black or white of the images differ by a large share of the widest range of an image."""
    ranges = np.array([item.intensity[1:3] for item in facts])
    widest = float((ranges[:, 1] - ranges[:, 0]).max())
    return bool((np.ptp(ranges, axis=0) > LARGEST_SHIFT * widest).any())


def choose_segmentation(kind: Kind, labeled: Sequence[VolumeFacts], scale: Scale) -> dict[str, Any]:
    """Return the section ``segmentation``; empty if the defaults fit, which are those of dense objects."""
    if kind != "sparse instances":
        return {}
    small = max(1, scale.fewest_voxels)
    return {
        "objects": Choice(
            "sparse",
            "components and seeds are tried, affinities up to 0.5 are background, small segments are deleted",
        ),
        "threshold": Choice([0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9], "tried on the validation volumes"),
        "min_size": Choice(
            sorted({0, small // 8, small // 3}), f"small objects have {small} voxels; parts of this are tried"
        ),
    }


def choose_iterations(run: dict[str, Any], machine: Machine) -> Choice:
    """Return the number of iterations that the machine computes in the desired time.

    Args:
        run: the other settings.
        machine: resources.
    """
    values = strip_reasons(run)
    values["training"]["iterations"] = 1
    settings = RunConfig.model_validate(values)
    seconds = training_seconds(settings, machine.gpus)
    if not machine.gpus:
        seconds /= training_speedup(settings, settings.training.torch_threads)
    steps = int(60 * machine.minutes / seconds) // 100 * 100
    steps = max(_FEWEST_STEPS, min(_MOST_STEPS[bool(machine.gpus)], steps))
    device = f"{machine.gpus} GPU" if machine.gpus else f"{machine.cores} cores"
    return Choice(steps, f"about {max(1, round(steps * seconds / 60))} minutes with {device}")


def _zero_share(labeled: Sequence[VolumeFacts]) -> float:
    shares = [item.labels.zero_share for item in labeled if item.labels is not None]
    return sum(shares) / len(shares)
