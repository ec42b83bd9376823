"""Chooses the settings of the segmentation on the validation volumes; test volumes are never looked at."""

import logging
import sys
from dataclasses import replace
from typing import Any

from attacca.jobs.command import StageArguments, stage_main
from attacca.jobs.finished_work import keep, recall
from attacca.manifest import Manifest
from attacca.workflow.catalogue import entry

VERSION = entry("tune").version
logger = logging.getLogger(__name__)


def work(arguments: StageArguments) -> None:
    """Write ``tuning.json``: every setting that was tried, its scores, and the choice."""
    inputs = {name: given.fingerprint for name, given in sorted(arguments.inputs.items())}
    manifest = Manifest("tune", VERSION, arguments.parameters, inputs)
    known = recall(arguments.output, manifest.key_parts())
    if known is None:
        manifest = replace(manifest, result=_choose(arguments))
        keep(manifest, arguments.output, manifest.key_parts())
    else:
        manifest = known
    logger.info("chosen: %s", manifest.result["chosen"])
    manifest.write(arguments.output)


def _choose(arguments: StageArguments) -> dict[str, Any]:
    if "segmentation" in arguments.parameters:
        from attacca.stages.tune_affinities import tune_affinities

        return tune_affinities(arguments)
    from attacca.stages.tune_classes import tune_classes

    return tune_classes(arguments)


if __name__ == "__main__":
    sys.exit(stage_main("tune", work))
