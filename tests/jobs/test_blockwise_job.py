"""The three jobs of a stage over a volume, and the manifest that the last one writes."""

import shutil
from pathlib import Path

import pytest

from attacca.blockwise.ledger_files import remove_records
from attacca.config.volumes import VolumeConfig
from attacca.jobs.stage import plain_values
from attacca.jobs.stage_main import StageArguments
from attacca.layout import Layout
from attacca.stages.volume import VolumeJob
from attacca.volumes import compute_content_fingerprint


class SyntheticVolume:
    """Runs the jobs of a stage on a volume of 16^3 voxels.

    Args:
        results: directory of results.
    """

    def __init__(self, results: Path) -> None:
        self.layout = Layout(results)
        self.manifest = self.layout.volume_manifest("cube")
        self.array = Path(self.layout.volume_container("cube")) / "raw" / "s0"
        self.seed = 1

    def job(self, action: str) -> VolumeJob:
        synthetic = {"shape": [16, 16, 16], "seed": self.seed}
        config = VolumeConfig.model_validate({"synthetic": synthetic, "voxel_size": [8, 8, 8]})
        parameters = {"volume": plain_values(config), "source": compute_content_fingerprint(config)}
        names = {"plan": "cube.plan.json", "shard": "cube.shard-0-of-1.json", "finish": "cube.json"}
        output = self.manifest.with_name(names[action])
        return VolumeJob(StageArguments(action, self.layout, "", "cube", parameters, {}, output))

    def run(self, *actions: str) -> None:
        for action in actions:
            self.job(action).run()


@pytest.fixture
def finished(tmp_path: Path) -> SyntheticVolume:
    volume = SyntheticVolume(tmp_path)
    volume.run("plan", "shard", "finish")
    return volume


def test_a_stage_that_is_planned_again_without_a_change_keeps_its_manifest(finished: SyntheticVolume) -> None:
    before = finished.manifest.read_bytes()
    finished.run("plan", "shard")
    assert finished.manifest.read_bytes() == before


def test_a_stage_whose_deleted_array_is_not_complete_yet_has_no_manifest(finished: SyntheticVolume) -> None:
    before = finished.manifest.read_bytes()
    shutil.rmtree(finished.array)
    finished.run("plan")
    assert not finished.manifest.exists()
    finished.run("shard", "finish")
    assert finished.manifest.read_bytes() == before


def test_the_manifest_is_deleted_before_the_array_is_created(
    finished: SyntheticVolume, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(job: VolumeJob) -> None:
        raise OSError("no space left on the disk")

    shutil.rmtree(finished.array)
    monkeypatch.setattr(VolumeJob, "create", fail)
    with pytest.raises(OSError, match="no space"):
        finished.run("plan")
    assert not finished.manifest.exists()


def test_a_stage_with_changed_settings_has_no_manifest_until_it_is_finished(
    finished: SyntheticVolume,
) -> None:
    finished.seed = 2
    finished.run("plan")
    assert not finished.manifest.exists()


def test_a_shard_that_computes_blocks_deletes_the_manifest(finished: SyntheticVolume) -> None:
    job = finished.job("shard")
    remove_records(job.ledger(job.planned_grid()).directory, None)
    job.run()
    assert not finished.manifest.exists()
