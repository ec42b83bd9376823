"""Scores by size of the evaluated region on the page."""

import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from attacca.evaluators.nested_regions import RegionSize
from attacca.report.region_section import plot_regions, read_regions
from attacca.report.results import Results

SIZES = [
    RegionSize(1, (40, 250, 125), 1.05, 0.72, 0.33, 1.05, 1.05),
    RegionSize(2, (40, 128, 125), 0.82, 0.5, 0.32, 0.35, 1.27),
]


def store(directory: Path, values: object) -> Results:
    results = Results(directory)
    path = results.layout.scores("run", "volume")
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"scores": [], "regions": values}))
    return results


def test_each_size_is_a_row_of_the_table(tmp_path: Path) -> None:
    results = store(tmp_path, {"convention": "", "sizes": [size.to_json() for size in SIZES]})
    regions = read_regions(results, "run", "volume")
    assert regions is not None
    assert regions.rows == (
        ("1", "40 × 250 × 125", "1.050", "0.720", "0.330", ""),
        ("2", "40 × 128 × 125", "0.820", "0.500", "0.320", "0.350 to 1.270"),
    )
    assert regions.chart.count("<svg") == 2


@pytest.mark.parametrize("values", [None, {}, {"sizes": []}])
def test_results_without_regions_have_no_section(tmp_path: Path, values: object) -> None:
    assert read_regions(store(tmp_path, values), "run", "volume") is None


def test_the_chart_names_each_size_and_needs_two() -> None:
    chart = plot_regions(SIZES, "a")
    assert "0.820 bits for 40 × 128 × 125 voxels" in ElementTree.fromstring(chart).attrib["aria-label"]
    assert plot_regions(SIZES[:1], "a") == ""
