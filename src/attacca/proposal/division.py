"""Division of volumes into those for training, validation and test."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from attacca.errors import ConfigurationError
from attacca.proposal.choices import Choice
from attacca.proposal.examination import VolumeFacts

_SHARES = (0.6, 0.2, 0.2)
"""Shares of one labeled volume for training, validation and test, along its longest axis."""
_SMALL_SHARE = 0.25
"""Share of an image up to which labels limit the region that is used."""
_MARGIN = 48
"""Width of the surroundings of such labels in voxels of the finest axis: half a sample of the network, or more."""
_SMALLEST_PART = 8
"""Voxels along the divided axis that a part needs."""


@dataclass(frozen=True)
class Division:
    """Volumes of a run by purpose.

    Attributes:
        volumes: section of each volume in the configuration, by name.
        train, validate, test: names of volumes.
        train_shape: smallest extent of the labels of a training volume along each axis, in voxels.
        reason: the rule that was applied.
    """

    volumes: dict[str, dict[str, Any]]
    train: tuple[str, ...]
    validate: tuple[str, ...]
    test: tuple[str, ...]
    train_shape: tuple[int, ...]
    reason: str


def divide_volumes(facts: Sequence[VolumeFacts]) -> Division:
    """Return a purpose for each volume; boxes of a volume if there are too few.

    Args:
        facts: measurements of all volumes.

    Raises:
        ConfigurationError: no volume has labels, or a single one is too small to be divided.
    """
    labeled = sorted(
        (item for item in facts if item.labels is not None), key=lambda item: (-_count(item), item.name)
    )
    unlabeled = tuple(item.name for item in facts if item.labels is None)
    if not labeled:
        raise ConfigurationError(
            f"found no labels for {', '.join(item.name for item in facts)}; a network is trained on labels",
            fix="give an image with its labels as raw:labels",
        )
    volumes = {
        item.name: item.settings if item.labels is None else item.settings | _limit_to_labels(item)
        for item in facts
    }
    names = [item.name for item in labeled]
    sizes = [item.labels_shape for item in labeled]
    if len(labeled) >= 3:
        # The largest volumes train, the two smallest ones measure.
        shape = tuple(min(size) for size in zip(*sizes[:-2]))
        reason = f"{len(names)} labeled volumes: the two smallest measure, the others train"
        return Division(volumes, tuple(names[:-2]), (names[-2],), (names[-1], *unlabeled), shape, reason)
    if len(labeled) == 2 and unlabeled:
        reason = "two labeled volumes: the larger one trains, the other one validates; volumes without labels are segmented"
        return Division(volumes, (names[0],), (names[1],), unlabeled, sizes[0], reason)
    divided = labeled[-1]
    shares: tuple[float, ...]
    suffixes: tuple[str, ...]
    others = tuple(names[:-1])
    if len(labeled) == 2:
        shares, suffixes = (0.5, 0.5), ("validate", "test")
        reason = f"two labeled volumes: {names[0]} trains, two halves of {divided.name} validate and test"
    else:
        shares, suffixes = _SHARES, ("train", "validate", "test")
        reason = (
            f"one labeled volume: boxes with {', '.join(f'{100 * share:.0f} %' for share in shares)} of its labels along "
            "{axis} train, validate and test; they share no labeled voxel"
        )
    axis, boxes = _divide(divided, shares)
    del volumes[divided.name]
    parts = []
    for suffix, (begin, end) in zip(suffixes, boxes, strict=True):
        name = f"{divided.name}-{suffix}"
        volumes[name] = divided.settings | {"roi": _describe_roi(divided, axis, begin, end)}
        parts.append(name)
    train = others or (parts.pop(0),)
    first = boxes[0]
    shape = sizes[0] if others else _set(divided.labels_shape, axis, first[1] - first[0])
    names_of_axes = "zyx"[-divided.dims :]
    return Division(
        volumes,
        train,
        (parts[0],),
        (parts[1], *unlabeled),
        shape,
        reason.replace("{axis}", names_of_axes[axis]),
    )


def _count(item: VolumeFacts) -> int:
    return math.prod(item.labels_shape)


def _set(values: Sequence[int], axis: int, value: int) -> tuple[int, ...]:
    return (*values[:axis], value, *values[axis + 1 :])


def _divide(item: VolumeFacts, shares: Sequence[float]) -> tuple[int, list[tuple[int, int]]]:
    """Return the axis along which a volume is divided, and the first voxel and the end of each part of the labels.

    The longest axis along which all parts contain objects is used.
    """
    axes = sorted(range(item.dims), key=lambda axis: (-item.labels_shape[axis], axis))
    for axis in axes:
        ends = [round(item.labels_shape[axis] * share) for share in np.cumsum(shares)]
        parts = list(zip([0, *ends[:-1]], ends))
        if min(end - begin for begin, end in parts) >= _SMALLEST_PART and _have_objects(item, axis, parts):
            return axis, parts
    raise ConfigurationError(
        f"{item.name}: the labels of {' x '.join(map(str, item.labels_shape))} voxels cannot be divided into "
        f"{len(shares)} boxes that all contain objects",
        fix="give further labeled volumes, for validation and test",
    )


def _have_objects(item: VolumeFacts, axis: int, parts: Sequence[tuple[int, int]]) -> bool:
    """Return whether each part contains a whole object or half of one; True if only a box was examined."""
    assert item.labels is not None
    if item.labels.is_partial or not len(item.labels.boxes):
        return True
    middles = item.labels.boxes[:, :, axis].mean(axis=1)
    lengths = item.labels.boxes[:, 1, axis] - item.labels.boxes[:, 0, axis]
    # Objects that extend through the volume are in all parts.
    if (lengths > 0.9 * item.labels_shape[axis]).any():
        return True
    return all(((middles >= begin) & (middles < end)).any() for begin, end in parts)


def _limit_to_labels(item: VolumeFacts) -> dict[str, Choice]:
    """Return the key ``roi`` with the region around labels in a small part of an image; nothing for other labels."""
    if math.prod(item.labels_shape) > _SMALL_SHARE * math.prod(item.shape):
        return {}
    finest = min(item.voxel_size)
    region = []
    for begin, size, whole, edge in zip(item.labels_offset, item.labels_shape, item.shape, item.voxel_size):
        margin = -(-_MARGIN * finest // edge)
        region.append((max(0, begin - margin), min(whole, begin + size + margin)))
    if all(begin == 0 and end == whole for (begin, end), whole in zip(region, item.shape)):
        return {}
    roi = {
        "offset": [o + begin * v for (begin, _), o, v in zip(region, item.offset, item.voxel_size)],
        "shape": [(end - begin) * v for (begin, end), v in zip(region, item.voxel_size)],
    }
    share = 100 * math.prod(item.labels_shape) / math.prod(item.shape)
    reason = f"the labels and their surroundings, since they cover {share:.2g} % of the image; without it, all is segmented"
    return {"roi": Choice(roi, reason)}


def _describe_roi(item: VolumeFacts, axis: int, begin: int, end: int) -> dict[str, list[int]]:
    """Return a box in world units: part of the labels along one axis, and the labels along the others."""
    corner = _set(item.labels_offset, axis, item.labels_offset[axis] + begin)
    shape = _set(item.labels_shape, axis, end - begin)
    return {
        "offset": [o + c * v for o, c, v in zip(item.offset, corner, item.voxel_size)],
        "shape": [s * v for s, v in zip(shape, item.voxel_size)],
    }
