"""Images that a stage has made and that are gone: the report and the viewer leave them out and name them."""

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from attacca.arrays.identifier import is_url
from attacca.report.results import Results, read_json


def describe_lost_images(results: Results, run: str, volume: str, opened: Collection[str]) -> str:
    """Name the images that were made and cannot be opened, as a clause; empty if there are none.

    Args:
        results: manifests and arrays.
        run: name of the run; empty for the volume alone.
        volume: name of the volume.
        opened: names of the images that were opened: ``raw``, ``labels``, ``prediction``, ``segmentation``.
    """
    deleted: list[str] = []
    unreadable: list[str] = []
    for path in dict.fromkeys(_lost_paths(results, run, volume, opened)):
        exists = is_url(path) or Path(path).exists()
        (unreadable if exists else deleted).append(path.removeprefix(f"{results.layout.array_root}/"))
    clauses = []
    if deleted:
        clauses.append(f"{_join(deleted)} {'was' if len(deleted) == 1 else 'were'} deleted")
    if unreadable:
        clauses.append(f"{_join(unreadable)} cannot be read")
    return "; ".join(clauses)


def _join(names: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _lost_paths(results: Results, run: str, volume: str, opened: Collection[str]) -> Iterator[str]:
    layout = results.layout
    container = layout.volume_container(volume)
    is_container_lost = not is_url(container) and not Path(container).exists()
    for name in results.volume_result(volume).get("arrays", {}):
        if name in ("raw", "labels") and name not in opened:
            yield container if is_container_lost else layout.volume_image(volume, name)
    for name in ("prediction", "segmentation"):
        if run and name not in opened and read_json(layout.manifest(run, volume, name)):
            yield layout.image(run, volume, name)
