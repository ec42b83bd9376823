"""Digests of the results of one stage."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from attacca.errors import AttaccaError
from attacca.fingerprint import digest_file
from attacca.layout import VOLUME_IMAGES
from attacca.manifest import read_values
from attacca.provenance.compare_digests import READ_IN_PLACE
from attacca.provenance.content_digest import digest_content, digest_linked_array


def digest_results(
    manifest: Path,
    arrays: Sequence[str] = (),
    files: Iterable[Path] = (),
    manifest_is_result: bool = False,
    threads: int = 1,
) -> dict[str, Any]:
    """Return the fingerprint and digests of what a stage computed; empty if the stage is not finished.

    Args:
        manifest: file of the stage's manifest. Files and directories that it lists are digested, too.
        arrays: directories or addresses of the stage's arrays at full resolution. Missing arrays are skipped; of an
            array that is used in place, the original is digested.
        files: further files of the stage. Missing files are skipped.
        manifest_is_result: whether the manifest itself is digested, too.
        threads: number of files that are read in parallel.
    """
    values = read_values(manifest)
    if values is None:
        return {}
    found: dict[str, Any] = {"fingerprint": values["fingerprint"]} if "fingerprint" in values else {}
    result = values.get("result") or {}
    found |= {key.replace("_", " "): value for key, value in result.items() if key.endswith("digest")}
    named = [(_name_result(path), path) for path in map(str, [*arrays, *files])]
    # Formats of an export differ in their suffixes only.
    named += [(Path(name).name, str(manifest.parent / name)) for name in result.get("files", ())]
    for name, path in named:
        content = digest_content(path, threads)
        if content.files:
            found[name] = content.to_json()
    for name, array in result.get("arrays", {}).items():
        if array.get("in_place"):
            dataset = f"/{array['dataset']}"
            container = next(path.removesuffix(dataset) for path in arrays if path.endswith(dataset))
            try:
                linked = digest_linked_array(container, array["dataset"], threads)
            except AttaccaError:
                # The original has been moved since: the other digests are still of use.
                continue
            if linked is not None and linked.files:
                found[name] = {**linked.to_json(), READ_IN_PLACE: True}
    if manifest_is_result:
        found["file digest"] = digest_file(manifest)
    return found


def _name_result(path: str) -> str:
    """Return the name of an array or file: ``raw`` for ``cube.zarr/raw/s0``."""
    parts = [part for part in path.split("/") if part]
    for name, group in VOLUME_IMAGES.items():
        if path.endswith(f".zarr/{group}/s0"):
            return name
    return Path(parts[-2] if parts[-1] == "s0" else parts[-1]).stem.replace("_", " ")
