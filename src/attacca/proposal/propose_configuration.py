"""From paths to a checked configuration file."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from attacca.arrays.identifier import is_url
from attacca.config.load import load_configuration
from attacca.config.units import SYMBOLS
from attacca.errors import AttaccaError, ConfigurationError
from attacca.preflight.check_configuration import check_configuration
from attacca.proposal.choices import Choice, Machine
from attacca.proposal.configuration_text import write_configuration
from attacca.proposal.division import divide_volumes
from attacca.proposal.examination import GivenFacts, VolumeFacts, examine_pairs
from attacca.proposal.pairing import pair_data
from attacca.proposal.rules import Proposal, propose


@dataclass(frozen=True)
class ProposedFile:
    """A configuration file that was written.

    Attributes:
        facts: lines about the data.
        proposal: chosen settings.
        warnings: messages of the check.
    """

    facts: list[str]
    proposal: Proposal
    warnings: list[str]


def propose_configuration(
    data: Sequence[str],
    path: Path,
    machine: Machine,
    *,
    given: GivenFacts | None = None,
    contents: Literal["instances", "classes"] | None = None,
    names: Sequence[str] = (),
) -> ProposedFile:
    """Examine data and write a configuration that passes the check.

    Args:
        data: paths of images and labels; see ``attacca.proposal.pairing.pair_data``.
        path: the configuration file, which must not exist.
        machine: resources for which sizes and iterations are chosen.
        given: facts that replace those of the files.
        contents: contents of the labels, if the user states them.
        names: names of classes or objects.

    Raises:
        ConfigurationError: the file exists, the data do not fit each other, or nothing can be proposed for them.
    """
    refuse_to_overwrite(path)
    is_flat = given is not None and given.voxel_size is not None and len(given.voxel_size) == 2
    facts = examine_pairs(pair_data(data, is_flat), given)
    lines = [line for item in facts for line in describe_volume(item)]
    proposal = propose(facts, divide_volumes(facts), machine, contents, names)
    _make_paths_relative(proposal.volumes, path.absolute().parent)
    text = write_configuration(proposal, lines)
    path.parent.mkdir(parents=True, exist_ok=True)
    # The check reads a file in the same directory, since paths are relative to it.
    draft = path.with_name(f".{path.name}.draft-{os.getpid()}")
    try:
        draft.write_text(text)
        checked = check_configuration(load_configuration(draft), draft)
        try:
            os.link(draft, path)
        except FileExistsError:
            refuse_to_overwrite(path)
    except AttaccaError as error:
        problem = str(error).replace(str(draft), str(path)).replace(draft.name, path.name)
        raise ConfigurationError(f"no configuration was written for these data: {problem}") from error
    finally:
        draft.unlink(missing_ok=True)
    return ProposedFile(lines, proposal, checked.warnings)


def refuse_to_overwrite(path: Path) -> None:
    """Raise an error if a file exists.

    Raises:
        ConfigurationError: it exists.
    """
    if os.path.lexists(path):
        raise ConfigurationError(f"{path} exists, and is not replaced", fix="choose another name with --out")


def describe_volume(item: VolumeFacts) -> list[str]:
    """Return lines about a volume, for the terminal and for the comment at the top of the file."""
    symbol = SYMBOLS[item.unit]
    low, percentile, other, high = (
        f"{value:.0f}" if item.dtype.kind in "ui" else f"{value:.4g}" for value in item.intensity
    )
    origin = "as stated" if item.source == "configuration" else "stored in the file"
    lines = [
        f"{item.name}: {_join(item.shape)} voxels of {_join(item.voxel_size)} {symbol} ({origin}), {item.dtype}, "
        f"values {low} to {high}, 99 % of them {percentile} to {other}"
    ]
    labels = item.labels
    if labels is None:
        return [*lines, "  no labels"]
    region = f"{_join(item.labels_shape)} voxels" if item.labels_shape != item.shape else "all voxels"
    region += f" from voxel {', '.join(map(str, item.labels_offset))} on" if any(item.labels_offset) else ""
    if item.settings["labels"].get("encoding"):
        region += ", whose colors are read as ids (encoding: rgb)"
    part = " (a box at the center was examined)" if labels.is_partial else ""
    zeros = f"{100 * labels.zero_share:.0f} % are 0"
    if labels.unlabelled is not None:
        marked = f"{100 * labels.unlabelled_share:.0f} % are {labels.unlabelled}, not annotated"
        zeros = f"{zeros}, {marked}" if labels.unlabelled else marked
    values = (
        f"{len(labels.ids)} values"
        if len(labels.ids) > 1
        else f"value {labels.ids[0]}"
        if labels.ids
        else "no value"
    )
    lines.append(
        f"  labels of {region}{part}: {values} besides 0, {zeros}; "
        f"{len(labels.diameters)} objects, median diameter {labels.diameter:.0f} {symbol}, width {labels.width:.0f} {symbol}"
    )
    return lines


def _join(numbers: Sequence[int]) -> str:
    return " x ".join(map(str, numbers))


def _make_paths_relative(volumes: dict[str, Any], directory: Path) -> None:
    """Make the paths of all sources relative to the directory of the configuration."""
    for name, settings in volumes.items():
        volumes[name] = _convert_paths(settings, directory)


def _convert_paths(value: Any, directory: Path) -> Any:
    if isinstance(value, Choice):
        return Choice(_convert_paths(value.value, directory), value.reason)
    if isinstance(value, list):
        return [_convert_paths(item, directory) for item in value]
    if not isinstance(value, dict):
        return value
    converted = {key: _convert_paths(item, directory) for key, item in value.items()}
    path = converted.get("path")
    if isinstance(path, str) and not is_url(path):
        converted["path"] = os.path.relpath(path, directory)
    return converted
