"""The examples on real EM data in their original files; shortened, because the workflow is tested, not the accuracy."""

import json
import os
import re
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

ROOT = Path(__file__).parents[2]
SHARED = Path(os.environ.get("ATTACCA_SHARED", ROOT.parent / "shared"))


def shortened(name, checkout_of, monkeypatch, changes):
    if not (SHARED / "data" / name).is_dir():
        pytest.skip(
            f"{SHARED / 'data' / name} is missing; set ATTACCA_SHARED to the directory that holds data/{name}"
        )
    monkeypatch.setenv("ATTACCA_SHARED", str(SHARED.resolve()))
    text = (ROOT / "examples" / name / "config.yaml").read_text()
    for pattern, replacement in changes.items():
        text, count = re.subn(pattern, replacement, text)
        assert count, f"{pattern} is not in the example"
    checkout = checkout_of(name)
    checkout.write(text)
    checkout.snakemake()
    return checkout


def test_fib25_goes_from_png_sections_and_hdf5_labels_to_a_report(checkout_of, monkeypatch):
    checkout = shortened(
        "fib25",
        checkout_of,
        monkeypatch,
        {
            r"results: .*": "results: results\nexecution: {threads: 1}",
            r"iterations: \d+": "iterations: 12",
            r"interval: \d+": "interval: 6",
            r"shape: \[\d+, 2500, (2500|1250)\]": "shape: [300, 960, 960]",
            r"members: \d+": "members: 2",
            r"augmentation: opposite": "augmentation: none",
            r"segmentation:\n": "segmentation:\n      checks: { max_segment_share: null, max_seam_excess: null }\n",
        },
    )
    scores = json.loads((checkout.results / "affinities" / "fib25-test" / "scores.json").read_text())[
        "scores"
    ]
    assert {"voi", "adapted_rand_error"} <= {score["name"] for score in scores}
    volume = json.loads((checkout.results / "volumes" / "fib25-test.json").read_text())["result"]
    assert volume["unlabelled"] == 0
    assert volume["arrays"]["raw"]["offset"] == [0, 0, 1250]
    assert (checkout.results / "report.html").exists()


def test_vnc_learns_classes_of_anisotropic_sections(checkout_of, monkeypatch):
    checkout = shortened(
        "vnc",
        checkout_of,
        monkeypatch,
        {
            r"results: .*": "results: results\nexecution: {threads: 1}",
            r"iterations: \d+": "iterations: 8",
            r"interval: \d+": "interval: 4",
            r"47104, 47104": "11776, 11776",
        },
    )
    for run in ("distance", "hot-distance", "one-hot"):
        scores = json.loads((checkout.results / run / "vnc-test" / "scores.json").read_text())["scores"]
        assert any(score["name"] == "jaccard" for score in scores)
    volume = json.loads((checkout.results / "volumes" / "vnc-test.json").read_text())["result"]
    assert volume["arrays"]["raw"]["voxel_size"] == [500, 46, 46]
    assert volume["arrays"]["raw"]["unit"] == "angstrom"
