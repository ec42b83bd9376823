"""Arrays that stages have made and that are gone now: a report goes without their pictures, and says so."""

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from attacca.report.results import Results


def lost_images(results: Results, run: str, volume: str, opened: Collection[str]) -> str:
    """Which images were made and cannot be opened any more, as a clause; empty where there is none.

    Args:
        results: where manifests and arrays are.
        run: empty for the volume alone.
        volume: name of the volume.
        opened: names of the images that could be opened: ``raw``, ``labels``, ``prediction``, ``segmentation``.
    """
    deleted: list[str] = []
    unreadable: list[str] = []
    for place in dict.fromkeys(_made(results, run, volume, opened)):
        array = results.place(place)
        (unreadable if "://" in array or Path(array).exists() else deleted).append(place)
    return "; ".join(
        [
            *([f"{_listed(deleted)} {'was' if len(deleted) == 1 else 'were'} deleted"] if deleted else []),
            *([f"{_listed(unreadable)} cannot be read"] if unreadable else []),
        ]
    )


def _listed(places: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(places[:-1]), places[-1])))


def _made(results: Results, run: str, volume: str, opened: Collection[str]) -> Iterator[str]:
    container = f"volumes/{volume}.zarr"
    whole = "://" not in results.place(container) and not Path(results.place(container)).exists()
    for name in results.volume_result(volume).get("arrays", {}):
        if name in ("raw", "labels") and name not in opened:
            yield container if whole else f"{container}/{name}"
    for name in ("prediction", "segmentation"):
        if run and name not in opened and results.json(run, volume, f"{name}.json"):
            yield f"{run}/{volume}/{name}.zarr"
