"""Each task through the whole workflow, with its own example configuration."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from attacca.arrays import LocalArrayIdentifier, ZarrArray
from attacca.evaluators import voi

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

EXAMPLES = sorted((Path(__file__).parents[2] / "examples" / "tasks").glob("*.yaml"))

# The score of each task, and the value that a short training must reach (at most, if lower is better).
SENSIBLE = {
    "affinities": ("affinities", "voi", None, 3.5),
    "distance": ("distance", "jaccard", 0.35, None),
    "inner_distance": ("inner-distance", "jaccard", 0.35, None),
    "hot_distance": ("hot-distance", "jaccard", 0.35, None),
    "one_hot": ("one-hot", "jaccard", 0.35, None),
    "pretrained": ("pretrained", "jaccard", 0.35, None),
    "dummy": ("dummy", "frizz_level", 0.0, None),
}


def test_there_is_an_example_for_each_task():
    assert {path.stem for path in EXAMPLES} == set(SENSIBLE)


def trivial_score(results: Path, example: str) -> float:
    """The score of a trivial segmentation: one object, or one class, everywhere."""
    volume = LocalArrayIdentifier(results / "volumes" / "tissue-test.zarr", "labels/ground_truth/s0")
    labels = ZarrArray.open_from_array_identifier(volume).data[:]
    if example == "affinities":
        return float(voi(np.ones_like(labels), labels).sum())
    fractions = np.bincount(labels.ravel()) / labels.size
    # Of three classes, one has the share of its voxels as Jaccard index, and the others 0.
    return float(fractions.max() / len(fractions)) if example == "one_hot" else float(1 - fractions[0])


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_a_task_goes_from_volumes_to_sensible_scores(checkout_of, example):
    text = example.read_text()
    checkout = checkout_of(example.stem)
    checkout.write(re.sub(r"\.\./\.\./results/tasks/\w+", str(checkout.results), text))
    result = checkout.snakemake()
    run, name, least, most = SENSIBLE[example.stem]
    scores = json.loads((checkout.results / run / "tissue-test" / "scores.json").read_text())["scores"]
    values = [score["value"] for score in scores if score["name"] == name]
    assert values and all(value is not None for value in values), scores
    mean = sum(values) / len(values)
    assert least is None or mean >= least
    assert most is None or mean <= most
    if "objects_of" in text:
        found = {score["name"]: score["value"] for score in scores if score["name"].startswith("objects_")}
        assert 0 <= found["objects_f1_iou50"] <= 1 and found["objects_voi"] >= 0
    if example.stem != "dummy":
        untrained = trivial_score(checkout.results, example.stem)
        assert mean < untrained if name == "voi" else mean > untrained
    assert name.split("_")[0].lower() in (result.stdout + result.stderr).lower()
    page = (checkout.results / "report.html").read_text()
    assert run in page
    if example.stem in ("affinities", "distance"):
        training = checkout.results / run / "training"
        rows = [row.split("\t") for row in (training / "validation.tsv").read_text().splitlines()[1:]]
        measured = {int(row[0]): float(row[2]) for row in rows if row[1] == name}
        best = json.loads((training / "checkpoints" / "best.json").read_text())
        assert len(measured) == 2
        assert measured[best["iteration"]] == (min if name == "voi" else max)(measured.values())
        curve = page[page.index("Training loss over") :]
        assert f">{name}<" in curve[: curve.index("</svg>")]
    if example.stem == "pretrained":
        log = (checkout.results / "logs" / "pretrained" / "train.log").read_text()
        assert re.search(r"\d+ weights loaded from", log)
        assert "2 of another shape: prediction_head.weight" in log
        assert re.search(r"initial weights.*\d+ weights loaded from.*2 of another shape", page, re.DOTALL)
