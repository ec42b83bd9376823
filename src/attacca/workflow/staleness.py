"""Reasons why a stage's results are stale, found by its manifest or plan."""

import json
from collections.abc import Collection, Mapping
from typing import Any

from attacca.config.volumes import VolumeConfig
from attacca.fingerprint import list_differences
from attacca.jobs.stage import StageInstance, without_paths
from attacca.manifest import read_values
from attacca.workflow.workflow import Workflow


def list_changed_settings(
    instance: StageInstance, workflow: Workflow, manifest: Mapping[str, Any]
) -> list[str]:
    """Return the differences between the settings of a result and those of the configuration, as text.

    Raises:
        AttaccaError: a file that the settings name cannot be read.
    """
    section = json.loads(workflow.section(instance.stage, instance.run, instance.volume))
    old, new = _comparable_settings(manifest["parameters"], section)
    if "source" in new:
        # Only a volume has a source among its settings; its manifest has no paths.
        old, new = without_paths(old), without_paths(new)
    if old.get("source") == new.get("source"):
        return list(list_differences(old, new))
    # Digests of files are not readable, and differ if paths do.
    differences = list(list_differences({**old, "source": ""}, {**new, "source": ""}))
    return differences or [
        _describe_changed_source(instance.volume, workflow.configuration.volumes[instance.volume])
    ]


def _describe_changed_source(volume: str, config: VolumeConfig) -> str:
    if config.synthetic is not None:
        return f"this version synthesizes the tissue of volumes.{volume} in another way"
    sources: list[tuple[str, Any]] = [("raw", config.raw), ("mask", config.mask)]
    labels = config.labels.sources if config.labels else []
    for index, source in enumerate(labels):
        sources.append((f"labels.classes[{index}]" if config.class_names else "labels", source))
    named = [f"volumes.{volume}.{key} ({source.path})" for key, source in sources if source is not None]
    return f"the files of {' or '.join(named)} changed"


def list_changed_inputs(
    instance: StageInstance,
    workflow: Workflow,
    manifest: Mapping[str, Any],
    names: Collection[str] | None = None,
) -> list[str]:
    """Return the inputs that were recomputed since a stage read them, added or removed, as text.

    Args:
        instance: the stage.
        workflow: the configuration.
        manifest: values of the stage's manifest or plan.
        names: names of the inputs to compare; all of them by default.
    """
    differences = []
    inputs = instance.inputs(workflow.configuration)
    others = instance.stage.other_inputs(workflow.configuration, instance.run)
    # Only names with a volume are added and removed; a stage need not keep all others in its manifest.
    for name in manifest["inputs"]:
        if "." in name and name not in inputs and name not in others:
            differences.append(f"{name} is not an input anymore")
    for name, upstream in inputs.items():
        if names is not None and name not in names:
            continue
        old = manifest["inputs"].get(name)
        if old is None:
            if "." in name:
                differences.append(f"{name} is a new input")
            continue
        present = (read_values(upstream.manifest(workflow.layout)) or {}).get("fingerprint")
        if present is not None and present != old:
            differences.append(f"{upstream.title} was recomputed ({old[:12]} became {present[:12]})")
    return differences


def _comparable_settings(old: dict[str, Any], new: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return both without the sections that cannot be compared.

    A stage records what the tuner chose beside its sections, or in place of them and of its version. Inside a section, a
    key that only one of them has is a change: some keys are omitted while they have their default.
    """
    keys = new.keys() if "version" in old else old.keys() & new.keys()
    return {key: old[key] for key in keys & old.keys()}, {key: new[key] for key in keys}
