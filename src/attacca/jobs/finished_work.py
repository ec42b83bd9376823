"""Finished work of stages without blocks, kept where Snakemake does not know it.

Snakemake deletes what a job wrote before it starts the job again, and it starts again whatever lies behind a job that
ran: after a change of the number of shards, say, though every block is as it was. What such a stage found is therefore
kept a second time, with all that it depends on, and taken from there as long as nothing of that has changed.
"""

import json
import logging
from pathlib import Path
from typing import Any

from attacca.atomic import write_json
from attacca.errors import AttaccaError
from attacca.fingerprint import digest
from attacca.manifest import Manifest, read_manifest

logger = logging.getLogger(__name__)


def keep(manifest: Manifest, output: Path, key: Any) -> None:
    """Keep the manifest of finished work.

    Args:
        manifest: as it is written to ``output``.
        output: the file that Snakemake knows.
        key: everything that the work depends on, as plain values.
    """
    write_json(_place(output), {**manifest.to_json(), "key": digest(key)})


def recall(output: Path, key: Any) -> Manifest | None:
    """The manifest of work that was finished under the same key; None where there is none.

    Args:
        output: the file that Snakemake knows.
        key: everything that the work depends on now, as plain values.
    """
    place = _place(output)
    try:
        manifest = read_manifest(place)
        if json.loads(place.read_text()).get("key") != digest(key):
            return None
    except AttaccaError:
        return None
    logger.info("nothing that the result depends on has changed: it is taken from %s", place)
    return manifest


def _place(output: Path) -> Path:
    return output.with_name(f".{output.stem}.finished.json")
