"""Details of the methods paragraph: augmentation, voxels without annotation, settings of a segmentation."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from attacca.report.facts import as_mapping
from attacca.report.results import Results, read_json

_AUGMENTATIONS = {
    "elastic": "elastic deformation and rotation",
    "gamma": "gamma",
    "intensity": "contrast and brightness",
    "noise": "Gaussian noise",
    "sections": "defects of sections",
}
_CHAIN_VALUES = {
    "mutex_watershed": ("bias", "bias"),
    "seeded": ("inside_above", "objects above"),
    "connected_components": ("threshold", "threshold"),
}
"""Principal setting of each method of fragments, and its name."""


def describe_augmentation(training: Mapping[str, Any]) -> str:
    """Return the random changes of samples in words; empty if they are not recorded.

    >>> describe_augmentation({"augmentation": {"simple": {"mirror": True, "transpose": False}, "noise": {}}})
    'mirroring and Gaussian noise'
    >>> describe_augmentation({"augmentation": {"simple": None}})
    'none'
    """
    if "augmentation" not in training:
        return ""
    section = as_mapping(training["augmentation"])
    simple = as_mapping(section.get("simple"))
    names = [
        name for key, name in (("mirror", "mirroring"), ("transpose", "transposition")) if simple.get(key)
    ]
    names += [name for key, name in _AUGMENTATIONS.items() if section.get(key) is not None]
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1]))) if names else "none"


def describe_unlabelled(results: Results, run: str, volumes: Sequence[str]) -> list[str]:
    """Return a clause for each training volume of which a part does not count.

    The share is that of voxels without weight in the channel with most voxels that count. Affinities whose partner is
    not annotated do not count either, so the share of voxels without annotation is slightly smaller.

    Args:
        results: results of all runs.
        run: name of the run.
        volumes: names of the training volumes.
    """
    clauses = []
    for volume in volumes:
        stored = results.volume_result(volume)
        labels = as_mapping(as_mapping(stored.get("arrays")).get("labels"))
        is_partial = stored.get("unlabelled") is not None or "mask" in as_mapping(stored.get("arrays"))
        shape, counts = labels.get("shape"), _read_counts(results, run, volume)
        if not is_partial or not isinstance(shape, list) or not counts:
            continue
        voxels = 1
        for length in shape:
            voxels *= int(length)
        share = 1 - max(counts) / voxels if voxels else 0.0
        if 0 < share < 1:
            clauses.append(f"{100 * share:.1f} % of the voxels of {volume}")
    return clauses


def _read_counts(results: Results, run: str, volume: str) -> list[float]:
    """Return the number of voxels that count in each channel of a target."""
    stored = as_mapping(read_json(results.layout.targets_manifest(run, volume)).get("result")).get("counts")
    parts = stored if isinstance(stored, list) else []
    return [
        float(part[1])
        for part in parts
        if isinstance(part, list) and len(part) == 2 and isinstance(part[1], int | float)
    ]


def describe_fragments(fragments: Mapping[str, Any]) -> str:
    """Return the principal setting of the fragments in brackets; empty if it is not recorded.

    >>> describe_fragments({"chain": "mutex_watershed", "bias": [0.2, 0.8], "min_fragment_size": 50})
    ' (bias 0.2 and 0.8, fragments of at least 50 voxels)'
    """
    chain = str(fragments.get("chain"))
    key, name = _CHAIN_VALUES.get(chain, ("", ""))
    details = list(_describe_value(fragments.get(key), name))
    if chain == "mutex_watershed" and fragments.get("min_fragment_size"):
        details.append(f"fragments of at least {fragments['min_fragment_size']} voxels")
    return f" ({', '.join(details)})" if details else ""


def _describe_value(value: Any, name: str) -> Iterator[str]:
    if isinstance(value, int | float) and not isinstance(value, bool):
        yield f"{name} {value:g}"
    elif isinstance(value, list) and value and all(isinstance(item, int | float) for item in value):
        yield f"{name} {' and '.join(f'{item:g}' for item in value)}"


def describe_debris(agglomeration: Mapping[str, Any]) -> str:
    """Return a clause about small segments; empty if all are kept.

    >>> describe_debris({"min_size": 1000, "debris": "merge"})
    'segments of fewer than 1000 voxels were merged into neighbors'
    >>> describe_debris({"min_size": 0})
    ''
    """
    size = agglomeration.get("min_size")
    if not isinstance(size, int) or not size:
        return ""
    action = "deleted" if agglomeration.get("debris") == "delete" else "merged into neighbors"
    return f"segments of fewer than {size} voxels were {action}"
