"""Settings and measurements as short lines of text."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from attacca.arrays import Array
from attacca.config.task import TaskConfig
from attacca.config.units import SYMBOLS, convert_length

_CHECK_TEXTS = {
    "segmented_share": ("segmented", "{:.1%} of the voxels"),
    "largest_share": ("largest segment", "{:.1%} of the segmented voxels"),
    "seam_excess": ("boundaries of segments at block borders", "{:.2f} times as frequent as elsewhere"),
}
"""Name and format of the checks of a segmentation that need more words than their keys."""

_UNUSED_WITH_CHANNELS = ("num_fmaps", "fmap_inc_factor")
"""Settings of an architecture that have no effect if its channels are listed."""

_VOLUME_PURPOSES = (
    ("train", "training volumes"),
    ("validate", "validation volumes"),
    ("validation", "validation volumes"),
    ("test", "test volumes"),
)


class Fact(NamedTuple):
    """A name and a value.

    Attributes:
        name: a few words.
        value: text of the value.
        is_code: True for digests and code, which are set in a fixed width.
    """

    name: str
    value: str
    is_code: bool = False


def as_mapping(value: Any) -> Mapping[str, Any]:
    """Return the value if it is a mapping, otherwise an empty one."""
    return value if isinstance(value, Mapping) else {}


def format_setting(value: Any) -> str:
    """Format a value in one line of at most 200 characters.

    >>> format_setting([True, 3])
    '[yes, 3]'
    """
    text = f"{value:.5g}" if isinstance(value, float) else format_plain(value)
    return text if len(text) <= 200 else text[:197] + "…"


def format_plain(value: Any) -> str:
    """Format a value with ``yes`` and ``no`` for booleans."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return "[" + ", ".join(format_plain(item) for item in value) + "]"
    return str(value)


def describe_configuration(config: Mapping[str, Any], task: TaskConfig | None) -> list[Fact]:
    """Summarize a run: task, architecture, training, volumes, seed.

    Args:
        config: section of the run.
        task: its task; None if the section does not describe one.
    """
    return [
        *_describe_task(as_mapping(config.get("task")), task),
        *_describe_architecture(as_mapping(config.get("architecture"))),
        *_describe_training(as_mapping(config.get("training"))),
        *_describe_volumes(as_mapping(config.get("volumes"))),
        *([Fact("seed", str(config["seed"]))] if config.get("seed") is not None else []),
        *_describe_offsets(task),
    ]


def _describe_task(section: Mapping[str, Any], task: TaskConfig | None) -> Iterator[Fact]:
    if task is None:
        if section.get("type"):
            yield Fact("task", str(section["type"]).replace("_", " "))
        return
    learned = task.learned_task
    text = str(type(learned).model_fields["type"].default).replace("_", " ")
    text += " with local shape descriptors" if len(learned.offsets) not in (0, learned.num_channels) else ""
    yield Fact("task", text if learned is task else f"{text}, from a checkpoint")
    if task.class_names:
        yield Fact("classes", ", ".join(task.class_names))


def _describe_architecture(section: Mapping[str, Any]) -> Iterator[Fact]:
    unused = _UNUSED_WITH_CHANNELS if section.get("channels") else ()
    parts: list[str] = []
    for key, value in section.items():
        if value is None or value == "" or isinstance(value, Mapping) or key in unused:
            continue
        if key == "type":
            parts.insert(0, str(value))
        else:
            parts.append(f"{key.replace('_', ' ')} {format_plain(value)}")
    if parts:
        yield Fact("architecture", ", ".join(parts))


def _describe_training(section: Mapping[str, Any]) -> Iterator[Fact]:
    for key in ("iterations", "batch_size", "learning_rate"):
        value = section.get(key)
        if value is not None:
            text = f"{value:,}".replace(",", "\u202f") if isinstance(value, int) else str(value)
            yield Fact(key.replace("_", " "), text)


def _describe_volumes(section: Mapping[str, Any]) -> Iterator[Fact]:
    for key, label in _VOLUME_PURPOSES:
        if section.get(key):
            yield Fact(label, ", ".join(map(str, section[key])))


def _describe_offsets(task: TaskConfig | None) -> Iterator[Fact]:
    if task is not None and task.offsets:
        text = " ".join(str(list(offset)).replace(" ", "") for offset in task.offsets)
        yield Fact("neighborhood", text, True)


def describe_checks(values: Mapping[str, Any]) -> list[Fact]:
    """Summarize the measurements of a segmentation, without digests and tables.

    >>> describe_checks({"segments": 125, "segmented_share": 0.995})
    [Fact(name='segments', value='125', is_code=False), Fact(name='segmented', value='99.5 % of the voxels', is_code=False)]
    >>> describe_checks({"seam_excess": 1.02})[0].name
    'boundaries of segments at block borders'
    """
    facts = []
    for key, value in values.items():
        is_short = isinstance(value, str | int | float) or (isinstance(value, list) and len(value) <= 16)
        if key in _CHECK_TEXTS and isinstance(value, int | float):
            name, text = _CHECK_TEXTS[key]
            facts.append(Fact(name, text.format(value).replace("%", " %")))
        elif is_short and key != "id" and not key.endswith(("digest", "fingerprint")):
            facts.append(Fact(str(key).replace("_", " "), format_setting(value)))
    return facts


def describe_size(array: Array) -> list[Fact]:
    """Describe shape, voxel size and extent of an image.

    >>> import numpy as np
    >>> from funlib.geometry import Roi
    >>> from attacca.arrays import NumpyArray
    >>> image = NumpyArray.from_np_array(np.zeros((20, 500)), Roi((0, 0), (800, 4000)), (40, 8), ["z", "x"])
    >>> [fact.value for fact in describe_size(image)]
    ['20 × 500 voxels', '40 × 8 nm', '0.8 × 4 µm']
    """
    order = ", ".join(array.spatial_axes)
    symbol = SYMBOLS.get(array.unit, array.unit)
    shape = array.roi.shape / array.voxel_size
    facts = [
        Fact(f"shape ({order})", f"{join_lengths(shape)} voxels"),
        Fact(f"voxel size ({order})", f"{join_lengths(array.voxel_size)} {symbol}"),
    ]
    if array.unit in SYMBOLS:
        lengths = convert_length(array.roi.shape, array.unit, "micrometer")
        facts.append(Fact(f"extent ({order})", f"{join_lengths([float(length) for length in lengths])} µm"))
    return facts


def join_lengths(values: Iterable[float]) -> str:
    """Format lengths along the axes.

    >>> join_lengths([160, 0.125])
    '160 × 0.125'
    """
    return " × ".join(
        f"{value:,.{0 if value >= 1000 else 4}{'f' if value >= 1000 else 'g'}}" for value in values
    ).replace(",", "\u202f")
