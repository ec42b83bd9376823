"""``attacca plan``: estimates from headers and earlier jobs, and errors about results that exceed limits."""

import json
import time

import pytest
import yaml

from attacca.cli.main import main
from attacca.config.load import load_configuration
from attacca.costs.advice import format_size, recommend_shards
from attacca.costs.estimates import estimate_costs, estimate_wall_seconds
from attacca.costs.measurements import read_measured_costs
from attacca.errors import MissingInputError, VolumeError
from attacca.jobs.extents import Extent, read_extents
from attacca.workflow.workflow import Workflow


@pytest.fixture
def huge(tmp_path):
    """The header of a volume of 10 terabytes, without a single chunk."""
    path = tmp_path / "huge.zarr"
    path.mkdir()
    header = {
        "zarr_format": 2,
        "shape": [21544, 21544, 21544],
        "chunks": [128, 128, 128],
        "dtype": "|u1",
        "compressor": None,
        "fill_value": 0,
        "order": "C",
        "filters": None,
        "dimension_separator": "/",
    }
    (path / ".zarray").write_text(json.dumps(header))
    return path


def write(tmp_path, values):
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


def estimates_of(values, tmp_path, cores=2, measured=None):
    configuration = load_configuration(write(tmp_path, values))
    found = estimate_costs(Workflow(configuration), read_extents(configuration), measured or {}, cores)
    return {f"{item.instance.stage.name} {item.instance.label}": item for item in found}


def test_ten_terabytes_are_planned_in_seconds_from_the_header_alone(huge, values, tmp_path, capsys):
    settings = values()
    settings["volumes"]["cube-c"] = {"raw": {"path": str(huge)}, "voxel_size": [8, 8, 8]}
    run = settings["runs"]["first"]
    # The graph of the smallest fragments would have more of them than a graph can.
    run["prediction"], run["segmentation"] = {}, {"window": 6}
    path = write(tmp_path, settings)
    start = time.monotonic()
    code = main(["plan", str(path), "--disk", "1e6", "--memory", "20000"])
    assert time.monotonic() - start < 30
    output = capsys.readouterr()
    assert code == 0, output.err
    assert "TB in" in output.out
    assert "shards of about an hour" in output.out
    assert "--probe measures" in output.out


def test_results_that_exceed_disk_or_memory_are_refused_with_a_fix(huge, values, tmp_path, capsys):
    settings = values()
    settings["volumes"]["cube-c"] = {"raw": {"path": str(huge)}, "voxel_size": [8, 8, 8]}
    assert main(["plan", str(write(tmp_path, settings)), "--disk", "100", "--memory", "1"]) == 1
    output = capsys.readouterr().err
    assert "the results exceed the limits" in output
    assert "100.0 GB are free" in output
    assert "agglomerate first/cube-c needs" in output
    assert "--memory" in output


def test_blocks_of_prediction_are_those_of_the_network_and_segmentation_has_its_own(values, tmp_path):
    found = estimates_of(values(), tmp_path)
    assert found["fragments first/cube-c"].block == (32, 32, 32)
    assert found["fragments first/cube-c"].blocks == 8
    predict = found["predict first/cube-c"]
    assert predict.blocks >= 1
    assert all(edge <= 48 for edge in predict.block)
    assert found["train first"].blocks == 0


def test_shards_divide_the_time_of_a_job_and_leave_the_work(values, tmp_path):
    settings = values()
    settings["volumes"]["cube-c"]["synthetic"]["shape"] = [512, 512, 512]
    one = estimates_of(settings, tmp_path)["fragments first/cube-c"]
    settings["execution"] = {"shards": 8}
    many = estimates_of(settings, tmp_path)["fragments first/cube-c"]
    assert many.shards == 8
    assert many.job_seconds < one.job_seconds / 4
    assert many.core_seconds == pytest.approx(one.core_seconds, rel=0.7)


def test_gpus_count_in_gpu_hours(values, tmp_path):
    found = estimates_of(values(gpus={"train": 1, "predict": 1}), tmp_path)
    assert found["train first"].gpu_seconds > 0
    assert found["train first"].core_seconds == 0
    assert found["fragments first/cube-c"].gpu_seconds == 0


def test_a_larger_network_takes_longer(values, tmp_path):
    settings = values()
    settings["runs"]["first"]["training"]["iterations"] = 10_000
    small = estimates_of(settings, tmp_path)["train first"].core_seconds
    settings["runs"]["first"]["architecture"]["num_fmaps"] = 32
    assert estimates_of(settings, tmp_path)["train first"].core_seconds > 2 * small


def test_earlier_jobs_are_what_the_estimates_follow(project):
    fragments = project.instance("fragments", "first", "cube-b")
    project.finish_until(fragments)
    project.plan(fragments)
    layout = project.workflow.layout
    benchmark = layout.results / "benchmarks" / "first" / "cube-b" / "fragments_shard_0_of_1.tsv"
    benchmark.parent.mkdir(parents=True)
    benchmark.write_text("s\tmax_rss\n40.0\t900\n")
    log = fragments.log(layout, "_shard_0_of_1")
    log.parent.mkdir(parents=True)
    log.write_text(
        "x INFO attacca: python -m attacca.stages.fragments shard --threads 2 --output y\n"
        "x INFO attacca.blockwise: 27 blocks computed in 30.0 s, 0 were done before\n"
    )
    voxels = 48**3
    cost = read_measured_costs(project.workflow, {"cube-b": voxels})[("fragments", "first")]
    assert cost.start_seconds == pytest.approx(10)
    assert cost.voxels_per_second == pytest.approx(voxels / 60)
    extents = {name: Extent((48, 48, 48), (48, 48, 48)) for name in ("cube-a", "cube-b", "cube-c")}
    found = estimate_costs(project.workflow, extents, {("fragments", "first"): cost}, cores=2)
    item = next(item for item in found if item.instance == fragments)
    assert item.source == "measured"
    assert item.job_seconds == pytest.approx(40, rel=0.01)


def test_recommended_shards_last_about_an_hour_and_are_never_more_than_blocks(values, tmp_path):
    settings = values()
    assert recommend_shards(estimates_of(settings, tmp_path)["predict first/cube-c"]) == 1
    settings["volumes"]["cube-c"]["synthetic"]["shape"] = [4096, 4096, 4096]
    item = estimates_of(settings, tmp_path)["fragments first/cube-c"]
    shards = recommend_shards(item)
    assert 1 < shards <= item.blocks
    assert item.core_seconds / item.workers / shards == pytest.approx(3600, rel=0.1)


def test_jobs_at_once_shorten_the_time_to_finish_but_not_below_the_longest_job(values, tmp_path):
    settings = values(shards=4)
    settings["volumes"]["cube-c"]["synthetic"]["shape"] = [512, 512, 512]
    found = list(estimates_of(settings, tmp_path).values())
    one, many = estimate_wall_seconds(found, 1), estimate_wall_seconds(found, 100)
    assert one == pytest.approx(sum(item.job_seconds * item.shards + item.around_seconds for item in found))
    assert one > many >= max(item.job_seconds for item in found)


def test_a_region_of_interest_is_what_counts(huge, values, tmp_path):
    def extent(offset):
        settings = values()
        settings["volumes"]["cube-c"] = {
            "raw": {"path": str(huge)},
            "voxel_size": [8, 8, 8],
            "roi": {"offset": [offset, 0, 0], "shape": [800, 1600, 2400]},
        }
        return read_extents(load_configuration(write(tmp_path, settings)))["cube-c"]

    assert extent(80).shape == (100, 200, 300)
    with pytest.raises(VolumeError, match="not contained in the image"):
        extent(8 * 10**6)


def test_a_missing_image_is_named(values, tmp_path):
    settings = values()
    settings["volumes"]["cube-c"] = {"raw": {"path": "nowhere.zarr"}, "voxel_size": [8, 8, 8]}
    with pytest.raises(MissingInputError, match="nowhere"):
        estimates_of(settings, tmp_path)


def test_sizes_have_a_unit():
    assert [format_size(value) for value in (12, 1500, 2.5e6, 3e9, 4.2e13)] == [
        "12 B",
        "1.5 kB",
        "2.5 MB",
        "3.0 GB",
        "42.0 TB",
    ]
