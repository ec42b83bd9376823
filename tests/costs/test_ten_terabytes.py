"""Costs of a volume of ten terabytes."""

from pathlib import Path

import pytest
import zarr

from attacca.config.load import load_configuration
from attacca.costs.advice import list_excesses
from attacca.costs.estimates import estimate_costs
from attacca.costs.limits import Limits
from attacca.jobs.extents import read_extents
from attacca.workflow.workflow import Workflow

CONFIGURATION = (Path(__file__).parents[2] / "benchmarks" / "ten_terabytes.yaml").read_text()


@pytest.fixture
def planned(tmp_path):
    group = zarr.open_group(tmp_path / "raw.zarr", mode="w")
    group.create_array("s0", shape=(21632,) * 3, chunks=(64,) * 3, shards=(512,) * 3, dtype="u1")
    path = tmp_path / "config.yaml"

    def plan(**replaced):
        text = CONFIGURATION
        for old, new in replaced.items():
            text = text.replace(old, new)
        path.write_text(text)
        configuration = load_configuration(path)
        extents = read_extents(configuration)
        workflow = Workflow(configuration, extents=extents)
        return configuration, estimate_costs(workflow, extents, {}, cores=8)

    return plan


def limits(memory_gb):
    return Limits(cores=8, memory_mb=memory_gb * 1000, disk_bytes=1e17, files=10**6, jobs=100)


def test_no_job_needs_a_large_node_or_a_long_time_and_the_files_fit_a_quota(planned):
    configuration, found = planned()
    assert list(list_excesses(configuration, found, limits(32))) == []
    assert max(item.memory_mb for item in found) <= 32_000
    assert max(max(item.job_seconds, item.around_seconds) for item in found) <= 2 * 3600
    assert sum(item.files for item in found) <= 10**6


def test_a_graph_in_one_piece_is_refused_with_the_number_of_fragments(planned):
    configuration, found = planned(mean_affinity="mutex_watershed")
    text = "\n".join(list_excesses(configuration, found, limits(1e6)))
    assert "agglomerate neurites/brain cannot join more than 2,147,483,647 fragments" in text


def test_small_volumes_have_no_shards_of_stages_that_are_one_job(planned):
    _, found = planned()
    shards = {(item.instance.stage.name, item.instance.volume): item.shards for item in found}
    assert shards["agglomerate", "brain"] == 50
    assert shards["agglomerate", "chosen"] == shards["train", ""] == 1
