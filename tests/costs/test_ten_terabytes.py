"""Costs of a volume of ten terabytes."""

import pytest
import zarr

from attacca.config.load import load_configuration
from attacca.costs.advice import list_excesses
from attacca.costs.estimates import estimate_costs
from attacca.costs.limits import Limits
from attacca.jobs.extents import read_extents
from attacca.workflow.workflow import Workflow

CONFIGURATION = """
results: results
volumes:
  taught: {voxel_size: [8, 8, 8], synthetic: {shape: [160, 160, 160], seed: 1}}
  chosen: {voxel_size: [8, 8, 8], synthetic: {shape: [160, 160, 160], seed: 2}}
  brain: {raw: {path: raw.zarr, dataset: s0, missing_chunks: zero}, voxel_size: [8, 8, 8]}
runs:
  neurites:
    task:
      type: affinities
      lsds: true
      neighborhood: [[1, 0, 0], [0, 1, 0], [0, 0, 1], [3, 0, 0], [0, 3, 0], [0, 0, 3], [9, 0, 0], [0, 9, 0], [0, 0, 9]]
    volumes: {train: [taught], validate: [chosen], test: [brain]}
    prediction: {block_size: [448, 448, 448], tile_size: [112, 112, 112]}
    segmentation: {chain: seeded, window: 4, agglomeration: mean_affinity, block_size: [448, 448, 448]}
execution:
  threads: {default: 8, train: 3, fragments: 1, graph: 4, relabel: 4, objects: 4}
  gpus: {predict: 1}
  shards: {default: 100, predict: 250, fragments: 1000, agglomerate: 50, objects: 100}
"""


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
