"""What the provenance stage would write for a small project."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from attacca.stages.catalogue import instances


@pytest.fixture
def provenance(project: Any) -> Callable[..., dict[str, Any]]:
    """Makes the values of a ``provenance.json``, with digests that depend on the seed from training on."""

    def make(seed: int = 0) -> dict[str, Any]:
        section = json.loads(project.workflow.section("provenance", "first"))
        section["run"]["seed"] = seed
        found: dict[str, Any] = {}
        late = False
        for instance in instances(project.workflow):
            late = late or instance.stage.name == "train"
            details = {"fingerprint": "f", "checkpoint digest": f"{instance.label} {seed if late else 0}"}
            found.setdefault(instance.stage.name, {})[instance.volume or instance.run] = details
        return {
            "configuration": {"runs": {"first": section["run"]}, "volumes": section["volumes"]},
            "outputs": found,
        }

    return make
