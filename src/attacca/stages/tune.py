"""Chooses the settings of the segmentation on the validation volumes; test volumes are never looked at."""

import logging
import sys
from typing import Any

from attacca.stages.catalogue import entry
from attacca.stages.command import StageArguments, stage_main
from attacca.stages.manifest import Manifest

VERSION = entry("tune").version
logger = logging.getLogger(__name__)


def work(arguments: StageArguments) -> None:
    """Write ``tuning.json``: every setting that was tried, its scores, and the choice."""
    result: dict[str, Any]
    if "segmentation" in arguments.parameters:
        from attacca.stages.tune_affinities import tune_affinities

        result = tune_affinities(arguments)
    else:
        from attacca.stages.tune_classes import tune_classes

        result = tune_classes(arguments)
    logger.info("chosen: %s", result["chosen"])
    Manifest(
        "tune",
        VERSION,
        arguments.parameters,
        {name: given.fingerprint for name, given in sorted(arguments.inputs.items())},
        result,
    ).write(arguments.output)


if __name__ == "__main__":
    sys.exit(stage_main("tune", work))
