"""Advice of ``attacca plan``: each key that it names changes the cost that it is about."""

import pytest
import yaml

from attacca.config.load import load_configuration
from attacca.costs.advice import list_advice, list_excesses, suggest_less_memory
from attacca.costs.estimates import estimate_costs
from attacca.costs.limits import Limits
from attacca.jobs.extents import read_extents
from attacca.workflow.workflow import Workflow

RUN = "runs.first"


@pytest.fixture
def planned(values, tmp_path):
    """The configuration and its estimates, with keys of sections of the run and of its test volume changed."""

    def plan(changes=None, volume=None, cores=2, zarr_format=3, **execution):
        settings = values(**execution) | {"zarr_format": zarr_format}
        run = settings["runs"]["first"]
        run["prediction"], run["segmentation"] = {}, {}
        for section, keys in (changes or {}).items():
            run.setdefault(section, {}).update(keys)
        settings["volumes"]["cube-c"] = {"synthetic": {"shape": [2048] * 3}, **(volume or {})}
        path = tmp_path / "config.yaml"
        path.write_text(yaml.safe_dump(settings))
        configuration = load_configuration(path)
        found = estimate_costs(Workflow(configuration), read_extents(configuration), {}, cores)
        return configuration, {f"{item.instance.stage.name} {item.instance.label}": item for item in found}

    return plan


def remedy(configuration, found, stage, limit=100.0):
    return suggest_less_memory(configuration, found[stage], list(found.values()), limit)


def limits(memory_mb=1e9, files=None, disk=1e18):
    return Limits(2, memory_mb, disk, files, 1)


@pytest.mark.parametrize(
    ("stage", "key", "before", "after"),
    [
        ("predict first/cube-c", "prediction.block_size", {"prediction": {"block_size": [512] * 3}}, {"prediction": {"block_size": [64] * 3}}),
        ("predict first/cube-c", "prediction.tile_size", {"prediction": {"tile_size": [512] * 3}}, {"prediction": {"tile_size": [64] * 3}}),
        ("fragments first/cube-c", "segmentation.block_size", {"segmentation": {"block_size": [768] * 3}}, {"segmentation": {"block_size": [96] * 3}}),
        ("graph first/cube-c", "segmentation.block_size", {"segmentation": {"block_size": [768] * 3}}, {"segmentation": {"block_size": [96] * 3}}),
        ("relabel first/cube-c", "segmentation.block_size", {"segmentation": {"block_size": [768] * 3}}, {"segmentation": {"block_size": [96] * 3}}),
        ("fragments first/cube-c", "segmentation.block_size", {"prediction": {"block_size": [764] * 3}}, {"prediction": {"block_size": [764] * 3}, "segmentation": {"block_size": [96] * 3}}),
        ("evaluate first/cube-c", "evaluation.block_size", {"evaluation": {"block_size": [512] * 3}}, {"evaluation": {"block_size": [64] * 3}}),
        ("train first", "architecture.input_shape", {"architecture": {"input_shape": [256] * 3}}, {"architecture": {"input_shape": [32] * 3}}),
        ("train first", "training.batch_size", {"training": {"batch_size": 64}}, {"training": {"batch_size": 1}}),
    ],
)  # fmt: skip
def test_the_key_that_a_refusal_of_memory_names_makes_the_stage_need_less(planned, stage, key, before, after):
    configuration, large = planned(before)
    assert f"{RUN}.{key}" in remedy(configuration, large, stage)
    _, small = planned(after)
    assert small[stage].least_memory_mb < large[stage].least_memory_mb


@pytest.mark.parametrize("stage", ["volume", "targets"])
def test_the_chunk_of_a_volume_decides_what_its_import_and_its_targets_need(planned, values, tmp_path, stage):
    def estimates(edge):
        settings = values()
        settings["volumes"]["cube-a"] = {"synthetic": {"shape": [512] * 3}, "chunk": [edge] * 3}
        path = tmp_path / "config.yaml"
        path.write_text(yaml.safe_dump(settings))
        configuration = load_configuration(path)
        found = estimate_costs(Workflow(configuration), read_extents(configuration), {}, 2)
        return configuration, {f"{item.instance.stage.name} {item.instance.label}": item for item in found}

    name = "volume cube-a" if stage == "volume" else "targets first/cube-a"
    configuration, large = estimates(512)
    assert "volumes.cube-a.chunk" in remedy(configuration, large, name)
    assert estimates(64)[1][name].least_memory_mb < large[name].least_memory_mb


def test_blocks_change_nothing_in_agglomeration_and_larger_fragments_and_smaller_volumes_do(planned):
    name = "agglomerate first/cube-c"
    # Other agglomerations hold a part of the graph at a time.
    mutex = {"agglomeration": "mutex_watershed"}
    configuration, found = planned({"segmentation": mutex})
    need = found[name].least_memory_mb
    assert planned({"segmentation": {**mutex, "block_size": [96] * 3}})[1][name].least_memory_mb == need
    text = remedy(configuration, found, name, limit=need / 2)
    assert f"{RUN}.segmentation.window: 5 instead of 3" in text
    assert "whatever the size of blocks" in text
    assert "cut volumes.cube-c into 3 volumes with 'roi'" in text
    assert planned({"segmentation": {**mutex, "window": 5}})[1][name].least_memory_mb <= need / 2
    assert (
        planned({"segmentation": mutex}, {"synthetic": {"shape": [682, 2048, 2048]}})[1][name].least_memory_mb
        <= need / 2
    )
    # No window makes fragments large enough.
    assert "window" not in remedy(configuration, found, name, limit=need / 1000)


def test_skeletons_of_labels_need_the_largest_object_in_memory(planned):
    _, plain = planned()
    configuration, found = planned({"evaluation": {"run_length": True}})
    stage = "evaluate first/cube-c"
    assert found[stage].memory_mb > 45 * 1024**3 / 1e6 > 10 * plain[stage].memory_mb
    assert "runs.first.evaluation.run_length" in remedy(configuration, found, stage)
    given = planned({"evaluation": {"run_length": {"skeletons": "swc"}}})[1]
    assert plain[stage].memory_mb < given[stage].memory_mb < found[stage].memory_mb
    small = {"synthetic": {"shape": [128] * 3}}
    assert planned({"evaluation": {"run_length": True}}, small)[1][stage].memory_mb == (
        planned(volume=small)[1][stage].memory_mb
    )


def test_a_graph_of_more_fragments_than_it_can_have_is_refused_whatever_the_memory(planned):
    mutex = {"segmentation": {"agglomeration": "mutex_watershed"}}
    configuration, found = planned(mutex, {"synthetic": {"shape": [21600] * 3}})
    advice = "\n".join(list_excesses(configuration, list(found.values()), limits()))
    assert "agglomerate first/cube-c cannot join more than 2,147,483,647 fragments" in advice
    assert f"{RUN}.segmentation.window: 6" in advice
    mutex["segmentation"]["window"] = 6
    configuration, found = planned(mutex, {"synthetic": {"shape": [21600] * 3}})
    assert not list(list_excesses(configuration, list(found.values()), limits()))


def test_memory_that_the_configuration_asks_for_itself_is_what_a_refusal_names(planned):
    configuration, found = planned(memory_mb={"predict": 500_000})
    assert "execution.memory_mb" in remedy(configuration, found, "predict first/cube-c")


def test_what_the_tuner_needs_follows_its_volumes(planned):
    configuration, found = planned()
    assert "cube-b" in remedy(configuration, found, "tune first")


def test_advice_on_files_names_the_setting_that_makes_them_fewer(planned):
    big = {"synthetic": {"shape": [16384] * 3}, "chunk": [64] * 3}
    changes = {"prediction": {"block_size": [32] * 3}, "segmentation": {"block_size": [64] * 3}}
    configuration, found = planned(changes, big)
    lines = list_advice_on_files(configuration, found)
    assert "volumes.cube-c.chunk" in lines["volume cube-c"]
    for name, section, edge in (
        ("predict", "prediction", 128),
        ("fragments", "segmentation", 128),
        ("relabel", "segmentation", 128),
    ):
        line = lines[f"{name} first/cube-c"]
        assert f"{RUN}.{section}.block_size: [{edge}, {edge}, {edge}]" in line
        _, fewer = planned({section: {"block_size": [edge] * 3}}, big)
        expected = int(line.split()[-1].replace(",", ""))
        assert fewer[f"{name} first/cube-c"].files == pytest.approx(expected, rel=0.01)


def test_advice_on_the_files_of_zarr_2_names_the_format_that_makes_them_fewer(planned):
    big = {"synthetic": {"shape": [16384] * 3}, "chunk": [128] * 3}
    changes = {section: {"block_size": [128] * 3} for section in ("prediction", "segmentation")}
    configuration, found = planned(changes, big, zarr_format=2)
    lines = list_advice_on_files(configuration, found)
    _, fewer = planned(changes, big)
    for name in ("predict first/cube-c", "fragments first/cube-c", "relabel first/cube-c"):
        assert "zarr_format: 3 stores a block of 128×128×128 voxels in one file" in lines[name]
        expected = int(lines[name].partition("which makes ")[2].partition(" ")[0].replace(",", ""))
        assert fewer[name].files == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize("stage", ["volume", "predict", "fragments", "relabel"])
def test_a_stage_writes_one_file_for_each_block_and_the_scales_of_its_pyramid(planned, stage):
    _, found = planned()
    item = found[f"{stage} {'' if stage == 'volume' else 'first/'}cube-c"]
    arrays, scales = (2 if stage == "volume" else 1), (1 if stage == "fragments" else 1.15)
    assert item.blocks >= (2048 / 192) ** 3
    assert arrays * item.blocks < item.files < arrays * item.blocks * scales + 60


def list_advice_on_files(configuration, found):
    """Return the advice on the files of each stage, by the title of the stage."""
    lines = list_advice(configuration, list(found.values()), limits())
    return {line.partition(" writes ")[0]: line for line in lines if " writes " in line}


def test_files_of_the_training_are_fewer_with_fewer_snapshots(planned):
    often = {"training": {"iterations": 100_000, "snapshot_interval": 1}}
    configuration, found = planned(often)
    advice = "\n".join(list_excesses(configuration, list(found.values()), limits(files=1000)))
    assert f"{RUN}.training.snapshot_interval larger" in advice
    _, fewer = planned({"training": {"iterations": 100_000, "snapshot_interval": 1000}})
    assert fewer["train first"].files < found["train first"].files / 100


def test_files_of_the_graph_are_two_for_each_block(planned):
    for edge, blocks in ((96, 22**3), (192, 11**3)):
        _, found = planned({"segmentation": {"block_size": [edge] * 3}})
        graph = found["graph first/cube-c"]
        assert graph.blocks == blocks
        assert 2 * blocks < graph.files < 2 * blocks + 60


def test_absurd_blocks_cost_hours_and_are_reported(planned):
    tiny = {"prediction": {"block_size": [4] * 3}, "segmentation": {"block_size": [4] * 3}}
    configuration, found = planned(tiny)
    _, usual = planned()
    for name in ("predict", "fragments", "graph", "relabel"):
        assert found[f"{name} first/cube-c"].core_seconds > 5 * usual[f"{name} first/cube-c"].core_seconds
    advice = "\n".join(list_advice(configuration, list(found.values()), limits()))
    assert "hours are spent between blocks; make runs.first.segmentation.block_size larger" in advice
    configuration, found = planned(tiny, {"synthetic": {"shape": [8192] * 3}})
    advice = "\n".join(list_excesses(configuration, list(found.values()), limits()))
    assert "predict first/cube-c has 8,589,934,592 blocks of 4×4×4 voxels" in advice
    assert "make runs.first.prediction.block_size larger" in advice


def test_training_costs_the_cores_of_its_job_and_reports_idle_ones(planned):
    for threads in (1, 2, 8):
        changes = {
            "training": {"torch_threads": threads, "iterations": 10_000},
            "architecture": {"num_fmaps": 24},
        }
        configuration, found = planned(changes, cores=16, threads={"train": threads + 1})
        train = found["train first"]
        assert train.cores == threads + 1
        assert train.core_seconds == pytest.approx(train.job_seconds * (threads + 1))
    configuration, found = planned(cores=16)
    advice = "\n".join(list_advice(configuration, list(found.values()), limits()))
    assert "train first occupies 16 cores and computes with 3" in advice
    assert "execution: {threads: {train: 3}}" in advice


def test_the_job_that_digests_results_is_planned_from_what_the_others_write(planned):
    _, found = planned()
    provenance = found["provenance first"]
    _, larger = planned(volume={"synthetic": {"shape": [16384] * 3}})
    assert larger["provenance first"].job_seconds > 10 * provenance.job_seconds
    assert larger["provenance first"].memory_mb > provenance.memory_mb


def test_fewer_workers_are_advised_where_they_fit(planned):
    configuration, found = planned({"segmentation": {"block_size": [288] * 3}}, cores=8)
    name = "fragments first/cube-c"
    item = found[name]
    middle = (item.memory_mb + item.least_memory_mb) / 2
    advice = [
        line
        for line in list_advice(configuration, list(found.values()), limits(middle))
        if line.startswith(name)
    ]
    workers = int(advice[0].rpartition("fragments: ")[2].partition("}")[0])
    _, fewer = planned({"segmentation": {"block_size": [288] * 3}}, cores=8, threads={"fragments": workers})
    assert fewer[name].memory_mb <= middle
