"""Copies of manifests that are hidden from Snakemake, so that it does not delete them.

Snakemake deletes the output of a job before it starts the job again, and it starts every job downstream of a job that
ran: after a change of the number of shards, for example, although every block is as before. A stage without blocks
therefore keeps a copy of its manifest with a digest of everything that it depends on, and restores the manifest from
the copy as long as the digest is the same.
"""

import logging
from pathlib import Path
from typing import Any

from attacca.atomic import write_json
from attacca.errors import AttaccaError
from attacca.fingerprint import digest
from attacca.manifest import Manifest, read_manifest, read_values

logger = logging.getLogger(__name__)


def keep_manifest(manifest: Manifest, output: Path, key: Any) -> None:
    """Keep a copy of a manifest.

    Args:
        manifest: manifest that the stage writes to ``output``.
        output: manifest, as the output of its rule.
        key: everything that the result depends on, as plain values.
    """
    write_json(_copy_path(output), {**manifest.to_json(), "key": digest(key)})


def recall_manifest(output: Path, key: Any) -> Manifest | None:
    """Return the manifest that was kept under the same key, or None.

    Args:
        output: manifest, as the output of its rule.
        key: everything that the result depends on now, as plain values.
    """
    path = _copy_path(output)
    if (read_values(path) or {}).get("key") != digest(key):
        return None
    try:
        manifest = read_manifest(path)
    except AttaccaError:
        return None
    logger.info("nothing that the result depends on has changed: the manifest is restored from %s", path)
    return manifest


def _copy_path(output: Path) -> Path:
    return output.with_name(f".{output.stem}.finished.json")
