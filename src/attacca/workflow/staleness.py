"""Why what a stage computed does not count any more, judged by its manifest or plan."""

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from attacca.config.volumes import VolumeConfig
from attacca.fingerprint import list_differences
from attacca.workflow.catalogue import StageInstance, inputs_of
from attacca.workflow.workflow import Workflow

_NAMED_BY_VOLUME = ("volume.", "targets.", "prediction.")
"""Inputs of stages that read several volumes; those of the others never change their names."""


def changed_settings(instance: StageInstance, workflow: Workflow, manifest: Mapping[str, Any]) -> list[str]:
    """Differences of the settings that a stage was computed with from those of the configuration, in words.

    Raises:
        AttaccaError: what the settings name cannot be read.
    """
    section = json.loads(workflow.section(instance.stage.name, instance.run, instance.volume))
    old, new = _settings_of_both(manifest["parameters"], section)
    if instance.stage.name != "volume" or old.get("source") == new.get("source"):
        return list(list_differences(old, new))
    # Digests of files say nothing to a person, and other paths have other files.
    told = list(list_differences({**old, "source": ""}, {**new, "source": ""}))
    return told or [_changed_source(instance.volume, workflow.configuration.volumes[instance.volume])]


def _changed_source(volume: str, config: VolumeConfig) -> str:
    if config.synthetic is not None:
        return f"this version makes the synthetic tissue of volumes.{volume} in another way"
    sources: list[tuple[str, Any]] = [("raw", config.raw), ("mask", config.mask)]
    labels = config.labels.sources if config.labels else []
    for index, source in enumerate(labels):
        sources.append((f"labels.classes[{index}]" if config.class_names else "labels", source))
    named = [f"volumes.{volume}.{key} ({source.path})" for key, source in sources if source is not None]
    return f"the files of {' or '.join(named)} changed"


def changed_inputs(
    instance: StageInstance,
    workflow: Workflow,
    manifest: Mapping[str, Any],
    names: Collection[str] | None = None,
) -> list[str]:
    """Inputs that were made again since a stage read them, are new, or are none any more, in words.

    Args:
        instance: the stage.
        workflow: the configuration.
        manifest: the stage's manifest, as values.
        names: look at these inputs only; at all of them by default.
    """
    found = []
    present_inputs = inputs_of(instance, workflow)
    for name in manifest["inputs"]:
        if name.startswith(_NAMED_BY_VOLUME) and name not in present_inputs:
            found.append(f"{name} is no input any more")
    for name, upstream in present_inputs.items():
        if names is not None and name not in names:
            continue
        old = manifest["inputs"].get(name)
        if old is None:
            if name.startswith(_NAMED_BY_VOLUME):
                found.append(f"{name} is a new input")
            continue
        present = (read_values(upstream.manifest(workflow.layout)) or {}).get("fingerprint")
        if present is not None and present != old:
            where = f"{upstream.stage.name} {upstream.label}"
            found.append(f"{where} was made again ({old[:12]} became {present[:12]})")
    return found


def _settings_of_both(old: Any, new: Any) -> tuple[Any, Any]:
    """Both without the keys that only one of them has: stages keep of a section what decides."""
    if not (isinstance(old, dict) and isinstance(new, dict)):
        return old, new
    pairs = {key: _settings_of_both(old[key], new[key]) for key in old if key in new}
    return {key: pair[0] for key, pair in pairs.items()}, {key: pair[1] for key, pair in pairs.items()}


def read_values(path: Path) -> dict[str, Any] | None:
    """The values of a JSON file; None where it is missing or is no such file."""
    try:
        value = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None
