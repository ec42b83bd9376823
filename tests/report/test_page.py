"""The page: complete for existing results, with a message for missing ones, and correct in a real browser."""

import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from attacca.layout import Layout
from attacca.report import write_report
from attacca.report.facts import describe_configuration
from attacca.report.page import list_credits, name_runs


class Page(HTMLParser):
    """Images, links and identifiers of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.images: list[dict[str, str | None]] = []
        self.links: list[str] = []
        self.names: list[str] = []
        self.sources: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if values.get("id"):
            self.names.append(str(values["id"]))
        if tag == "img":
            self.images.append(values)
        if tag == "a":
            self.links.append(str(values.get("href")))
        if tag in ("img", "script", "source", "iframe") and values.get("src"):
            self.sources.append(str(values["src"]))
        if tag == "link":
            self.sources.append(str(values.get("href")))


def written(results: Path, runs: Any, volumes: Any) -> str:
    page = results / "report.html"
    write_report(results, page, runs, volumes)
    return page.read_text()


@pytest.fixture(scope="module")
def page(fake_results: Any) -> str:
    return written(fake_results.directory, fake_results.runs, fake_results.volumes)


def test_the_page_is_complete_and_refers_to_no_other_address(page: str) -> None:
    parsed = Page(page)
    assert parsed.sources and all(source.startswith("data:") for source in parsed.sources)
    outside = [link for link in parsed.links if not link.startswith(("#", "http://127.0.0.1:8765/open?"))]
    assert outside == []
    assert "@import" not in page and not re.search(r"url\((?!data:|#)", page)


def test_every_picture_is_described_and_every_link_inside_leads_somewhere(page: str) -> None:
    parsed = Page(page)
    assert len(parsed.images) > 60
    assert all(image["alt"] and int(str(image["width"])) > 0 for image in parsed.images)
    anchors = {link[1:] for link in parsed.links if link.startswith("#")}
    assert anchors <= set(parsed.names)
    assert len(parsed.names) == len(set(parsed.names))


def test_scores_curves_slices_atlas_and_provenance_are_on_the_page(page: str) -> None:
    for text in (
        "0.390",
        "VOI on the test volume",
        "voxels with label 0 ignored",
        "lower is better",
        "checkpoint used for prediction: 2700",
        "198 settings were compared",
        "11 settings were compared",
        "xy plane at z",
        "yz plane at x",
        "Largest splits",
        "Largest merges",
        "2.13.0",
        "cd" * 32,
        "attacca view",
    ):
        assert text in page, text


def test_the_chosen_settings_are_listed_and_marked_for_every_kind_of_task(page: str) -> None:
    sections = page.split("<h3>Choice of settings</h3>")[1:]
    found_sections = [
        re.search(r"<h4>Chosen</h4>(.*?)</div>\s*</div>", section, re.DOTALL) for section in sections
    ]
    names = [re.findall(r"<dt>(.*?)</dt>", found[1]) for found in found_sections if found]
    assert names[0][:2] == ["method of fragments", "inside above"] and names[1] == ["threshold"]
    assert "row" not in names[0]
    assert all(">chosen</text>" in section for section in sections)


@pytest.mark.slow
def test_the_same_results_give_the_same_page(page: str, fake_results: Any) -> None:
    assert written(fake_results.directory, fake_results.runs, fake_results.volumes) == page


def test_all_scores_are_in_a_table_file(page: str, fake_results: Any) -> None:
    lines = (fake_results.directory / "scores.tsv").read_text().splitlines()
    assert len(lines) == 1 + 2 * 7 + 2 * 6


def test_a_page_without_results_lists_missing_stages(tmp_path: Path, fake_results: Any) -> None:
    page = written(tmp_path / "results", fake_results.runs, fake_results.volumes)
    assert "No score yet" in page
    assert "not imported yet" in page and "deleted" not in page
    assert "Errors can be ranked once there are a segmentation and labels" in page
    assert "The training has not written its curve yet" in page


@pytest.mark.parametrize(
    ("missing", "expected"),
    [
        ("default/training.json", "The training has not finished"),
        ("default/tissue-test/scores.json", "segmented; not evaluated yet"),
        (
            "default/tissue-test.zarr/labels/segmentation",
            "default/tissue-test.zarr/labels/segmentation was deleted: pict",
        ),
        *[
            pytest.param(path, f"{path} was deleted: pictures", marks=pytest.mark.slow)
            for path in (
                "default/tissue-test.zarr/prediction",
                "volumes/tissue-test.zarr/labels/ground_truth",
                "volumes/tissue-test.zarr/raw",
                "volumes/tissue-test.zarr",
            )
        ],
        ("default/tuning.json", "Settings have not been chosen yet"),
        ("default/provenance.json", "No provenance has been written yet"),
        pytest.param("default/training/snapshots", "checkpoint used for prediction", marks=pytest.mark.slow),
    ],
)
def test_a_missing_piece_is_not_an_error(
    missing: str, expected: str, tmp_path: Path, fake_results: Any
) -> None:
    names = ["default", "volumes"]
    for name in names:
        shutil.copytree(fake_results.directory / name, tmp_path / name)
    place = tmp_path / missing
    shutil.rmtree(place) if place.is_dir() else place.unlink()
    runs = {"default": fake_results.runs["default"]}
    runs["default"] = {**runs["default"], "volumes": {"train": ["tissue-train"], "test": ["tissue-test"]}}
    assert expected in written(tmp_path, runs, fake_results.volumes)


def test_scores_outlive_all_arrays_and_only_deleted_arrays_are_listed(
    tmp_path: Path, fake_results: Any
) -> None:
    arrays = shutil.ignore_patterns("*.zarr")
    shutil.copytree(fake_results.directory, tmp_path, dirs_exist_ok=True, ignore=arrays)
    page = written(tmp_path, fake_results.runs, fake_results.volumes)
    found = re.findall(r'<p class="note">(.*?)</p>', page)
    assert "VOI on the test volume" in page
    assert len(found) == 4 and all("were deleted: pictures" in note for note in found)
    assert "volumes/tissue-test.zarr, default/tissue-test.zarr/prediction and" in page


def test_a_finished_application_without_labels_is_not_called_incomplete(tmp_path: Path) -> None:
    manifest = Layout(tmp_path).manifest("applied", "stack", "segmentation")
    manifest.parent.mkdir(parents=True)
    manifest.write_text('{"result": {"segments": 52}}')
    run = {"model": {"path": "model.zip"}, "volumes": {"train": [], "validate": [], "test": ["stack"]}}
    page = written(tmp_path, {"applied": run}, {"stack": {"raw": {"path": "stack"}}})
    assert "No volume has labels to compare with, so nothing was scored" in page
    assert "trains nothing" in page
    assert "No score yet" not in page and "Run the workflow again" not in page


def test_broken_files_do_not_stop_the_report(tmp_path: Path, fake_results: Any) -> None:
    run = tmp_path / "default"
    (run / "training" / "snapshots").mkdir(parents=True)
    (run / "tissue-test").mkdir()
    for name in ("training.json", "tuning.json", "provenance.json", "tissue-test/scores.json"):
        (run / name).write_text('["no", "mapping"]')
    (run / "training" / "metrics.tsv").write_text("\n\n\0")
    (run / "training" / "snapshots" / "iteration_00000001.npz").write_text("broken")
    assert "No score yet" in written(tmp_path, {"default": fake_results.runs["default"]}, {})


def test_names_and_values_cannot_bring_markup_into_the_page(tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>"
    (tmp_path / "run" / "volume").mkdir(parents=True)
    scores = {"scores": [{"name": evil, "value": 1.0, "convention": evil, "unit": evil}]}
    (tmp_path / "run" / "volume" / "scores.json").write_text(json.dumps(scores))
    page = written(tmp_path, {"run": {"task": {"type": evil}}}, {})
    assert evil not in page and "&lt;script&gt;" in page


def test_of_an_architecture_only_what_is_in_effect_is_listed() -> None:
    plain = {"type": "unet", "num_fmaps": 12, "fmap_inc_factor": 2.0}
    listed = describe_configuration({"architecture": {**plain, "channels": [4, 8]}}, None)
    assert listed[0].value == "unet, channels [4, 8]"
    counted = describe_configuration({"architecture": {**plain, "channels": None}}, None)
    assert counted[0].value == "unet, num fmaps 12, fmap inc factor 2.0"


def test_runs_are_taken_by_name_or_as_a_list() -> None:
    assert list(name_runs([{"name": "a"}, {}])) == ["a", "run 2"]
    assert list(name_runs({"b": {}})) == ["b"]


def test_public_data_are_credited() -> None:
    assert list_credits({"fib25-test": {"raw": {"path": "x"}}}) == ["fib25-test: FlyEM (Janelia), CC BY 3.0"]
    assert list_credits({"tissue": {"synthetic": {}}}) == []


_CHECK = """
<script>
addEventListener("load", () => {
  const images = [...document.images];
  const bad = images.filter((i) => !i.complete || !i.naturalWidth || !i.getBoundingClientRect().width);
  const visible = [...document.querySelectorAll("svg")].filter((s) => s.getClientRects().length);
  const drawings = visible.filter((s) => s.getBoundingClientRect().height < 50);
  const hidden = [...document.querySelectorAll(".scroll, .chart")].filter((e) => e.scrollWidth > e.clientWidth + 1);
  const wide = document.documentElement.scrollWidth > innerWidth;
  document.querySelector(".zoomable").click();
  const open = document.getElementById("zoom").open;
  document.title = JSON.stringify({
    images: images.length, bad: bad.length, drawings: drawings.length, visible: visible.length, hidden: hidden.length, wide, open, errors: window.errors,
  });
});
</script>
"""
_WATCH = """
<script>window.errors = []; addEventListener("error", (e) => errors.push(String(e.message)), true);</script>
"""


@pytest.mark.slow
@pytest.mark.parametrize("width", [1400, 500, 390])
def test_a_real_browser_shows_every_picture_and_logs_no_error(page: str, width: int, tmp_path: Path) -> None:
    browser = shutil.which("chromium")
    if browser is None:
        pytest.skip("chromium is not installed: apt-get install chromium")
    watched = page.replace("<head>", f"<head>{_WATCH}").replace("</body>", f"{_CHECK}</body>")
    (tmp_path / "page.html").write_text(watched)
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
    command += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
    command += ["--enable-logging=stderr", f"--user-data-dir={tmp_path / 'profile'}"]
    command += [f"--window-size={width},1000", "--virtual-time-budget=20000", "--dump-dom"]
    done = subprocess.run(
        [*command, (tmp_path / "page.html").as_uri()], capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = re.search(r"<title>(\{.*?\})</title>", done.stdout)
    assert found, done.stdout[:500]
    seen = json.loads(found[1].replace("&quot;", '"'))
    assert seen["images"] == len(Page(page).images)
    assert seen | {"images": 0} == {
        "images": 0,
        "bad": 0,
        "drawings": 0,
        "visible": page.count('class="drawing"') // 2,
        "hidden": 0,
        "wide": False,
        "open": True,
        "errors": [],
    }
    assert ":CONSOLE" not in done.stderr, done.stderr[-2000:]


@pytest.fixture
def unlabelled_page(tmp_path: Path) -> str:
    """The page of a volume without labels, segmented in one block."""
    layout = Layout(tmp_path)
    manifest = layout.manifest("applied", "stack", "segmentation")
    manifest.parent.mkdir(parents=True)
    result = {"segments": 52, "segmented_share": 0.9, "seam_excess": 1.0}
    manifest.write_text(json.dumps({"stage": "relabel", "result": result}))
    layout.plan(manifest).write_text('{"blocks": 1}')
    columns = ["id", "voxels", "volume_um3", "surface_um2", "z_nm", "z_min_nm", "z_max_nm", "touches_border"]
    objects = {"objects": 3, "columns": columns, "largest": [[1, 900, 0.1, 0.1, 5.0, 0, 9, 1]]}
    layout.objects("applied", "stack").with_suffix(".json").write_text(json.dumps({"result": objects}))
    rows = ["\t".join(columns), *(f"{i}\t{size}" + "\t1" * 6 for i, size in enumerate((100, 200, 900)))]
    layout.object_table("applied", "stack").write_text("\n".join(rows) + "\n")
    layout.start_record().write_text('{"relative_configuration_file": "../neurites.yaml"}')
    run = {"model": {"path": "model.zip"}, "volumes": {"train": [], "validate": [], "test": ["stack"]}}
    return written(tmp_path, {"applied": run}, {"stack": {"raw": {"path": "stack"}}})


def test_a_volume_without_labels_is_not_an_alarm(unlabelled_page: str) -> None:
    notes = dict(re.findall(r'<p class="(note[^"]*)">(stack is .*?)</p>', unlabelled_page))
    assert notes == {"note neutral": "stack is segmented; no labels to compare with."}
    assert "Errors can be ranked once" not in unlabelled_page


def test_a_volume_without_labels_has_the_number_and_sizes_of_its_segments(unlabelled_page: str) -> None:
    facts = dict(re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", unlabelled_page))
    assert facts["segments"] == "52" and facts["segmented"] == "90.0 % of the voxels"
    assert facts["median size of a segment"].startswith("200 voxels")
    assert "<h4>Sizes of segments</h4>" in unlabelled_page and "segments (3)" in unlabelled_page


def test_a_single_block_has_no_block_borders_and_its_number_is_known(unlabelled_page: str) -> None:
    assert "boundaries of segments at block borders" not in unlabelled_page
    assert re.search(r'data-label="blocks">1<', unlabelled_page)


def test_the_head_of_the_page_names_the_configuration_file(unlabelled_page: str) -> None:
    assert "configuration neurites.yaml" in unlabelled_page


def test_rows_of_up_to_five_pictures_have_no_missing_cells(page: str) -> None:
    rows = re.findall(r"--n:(\d+);--half:(\d+);--few:(\d+)", page)
    assert rows
    for number, half, _ in rows:
        assert int(number) % int(half) == 0, (number, half)


def test_the_picture_of_weights_has_a_scale(page: str) -> None:
    assert "black 0, white 3; first of 5 channels" in page
