import json

import numpy as np
import pytest
import torch

import attacca.training.state
from attacca.config.architecture import UNetConfig
from attacca.config.tasks import AffinitiesTaskConfig, DistanceTaskConfig, HotDistanceTaskConfig
from attacca.errors import CheckpointError, ConfigurationError, TrainingError
from attacca.progress import Progress
from attacca.training import train
from attacca.training.checkpoint_directory import list_checkpoints
from attacca.training.state import TrainingState


def files(directory) -> dict[str, bytes]:
    """All files but those that hold times."""
    found = [path for path in directory.rglob("*") if path.is_file()]
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in found
        if "tensorboard" not in path.parts and path.name != "timing.tsv"
    }


def test_training_leaves_checkpoints_curves_and_pictures(job, volume, capsys):
    made = job(iterations=6, validation=(volume("other", seed=2),))
    result = train(made, Progress("train", 6, "iterations"))
    assert [path.name for path in list_checkpoints(made.directory / "checkpoints")] == [
        "iteration_00000003.pt",
        "iteration_00000006.pt",
    ]
    rows = (made.directory / "metrics.tsv").read_text().splitlines()
    assert rows[0] == "iteration\tloss\tlearning_rate" and len(rows) == 7
    assert rows[-1].startswith("6\t")
    validation = (made.directory / "validation.tsv").read_text().splitlines()
    assert [row.split("\t")[:2] for row in validation[1:]] == [["3", "loss"], ["6", "loss"]]
    best = json.loads((made.directory / "checkpoints" / "best.json").read_text())
    assert best == result["best"]
    assert best["value"] == min(row["value"] for row in result["validation"])
    assert list((made.directory / "tensorboard").iterdir())
    assert (made.directory / "timing.tsv").read_text().count("\n") == 3
    with np.load(made.directory / "snapshots" / "iteration_00000006.npz") as picture:
        assert picture["raw"].shape == (1, 16, 16)
        assert picture["raw"].min() >= 0 and picture["raw"].max() <= 1
        for name in ("target", "weight", "prediction"):
            assert picture[name].shape == (4, 16, 16)
        assert picture["prediction"].min() >= 0 and picture["prediction"].max() <= 1
        assert picture["channel_names"].tolist()[3] == "affinity(0,0,-3)"
    assert "6/6 iterations (100 %)" in capsys.readouterr().err
    assert result["iterations"] == 6 and result["parameters"] > 500


def test_deleted_checkpoints_are_trained_again_and_the_best_is_chosen_again(job):
    made = job(iterations=6)
    first = train(made)
    before = files(made.directory)
    for path in list_checkpoints(made.directory / "checkpoints"):
        path.unlink()
    best = made.directory / "checkpoints" / "best.json"
    best.write_text(json.dumps({**first["best"], "digest": "of other weights"}))
    assert train(made)["best"] == first["best"]
    assert files(made.directory) == before


def test_iterations_of_an_earlier_job_do_not_count_for_the_rate(job, capsys):
    made = job(iterations=6)
    train(made)
    train(made, Progress("train", 6, "iterations"))
    assert capsys.readouterr().err.splitlines()[-1] == "train: 6/6 iterations (100 %)"


def test_a_network_learns(job):
    architecture = UNetConfig(input_shape=(16, 16, 16), num_fmaps=6, downsample_factors=((2, 2, 2),))
    made = job(
        iterations=60, architecture=architecture, checkpoint={"interval": 60}, optimizer={"warm_up": 5}
    )
    train(made)
    losses = np.loadtxt(made.directory / "metrics.tsv", skiprows=1)[:, 1]
    assert losses[-10:].mean() < 0.9 * losses[:5].mean()


def test_a_run_that_was_stopped_ends_as_one_that_was_not(job, volume, tmp_path, monkeypatch):
    settings = {"iterations": 7, "checkpoint": {"interval": 2}, "validation": (volume("other", seed=2),)}
    whole = job(tmp_path / "whole", **settings)
    train(whole)
    stopped = job(tmp_path / "stopped", **settings)
    step = TrainingState.step
    for number in (1, 3, 6):

        def interrupted(state, batch, number=number):
            if state.iteration == number:
                raise KeyboardInterrupt
            return step(state, batch)

        with monkeypatch.context() as patch:
            patch.setattr(TrainingState, "step", interrupted)
            with pytest.raises(KeyboardInterrupt):
                train(stopped)
    train(stopped)
    assert files(stopped.directory) == files(whole.directory)
    before = files(stopped.directory)
    assert train(stopped)["iterations"] == 7
    assert files(stopped.directory) == before


def test_missing_records_of_a_checkpoint_are_written_again(job, volume):
    made = job(iterations=4, checkpoint={"interval": 2}, validation=(volume("other", seed=2),))
    train(made)
    complete = files(made.directory)
    (made.directory / "checkpoints" / "best.json").unlink()
    table = made.directory / "validation.tsv"
    table.write_text("\n".join(table.read_text().splitlines()[:-1]) + "\n4\tlo")
    with open(made.directory / "metrics.tsv", "a") as metrics:
        metrics.write("5\t0.1\t0.1\n6\t0.")
    train(made)
    assert files(made.directory) == complete


@pytest.mark.slow
def test_a_worker_or_none_give_the_same_checkpoints(job, tmp_path):
    alone = job(tmp_path / "alone", iterations=3)
    train(alone)
    together = job(tmp_path / "together", iterations=3, loader_workers=1)
    train(together)
    assert files(alone.directory) == files(together.directory)


def test_seeds_make_different_networks(job, tmp_path):
    first = train(job(tmp_path / "1", iterations=2, seed=1))
    second = train(job(tmp_path / "2", iterations=2, seed=2))
    assert first["best"]["digest"] != second["best"]["digest"]


def test_a_directory_of_another_configuration_is_refused(job):
    train(job(iterations=2))
    with pytest.raises(CheckpointError, match="made with another configuration"):
        train(job(iterations=3))


def test_class_counts_that_are_given_are_used_and_kept(job):
    counts = ([{0: (10, 100.0), 1: (90, 100.0)}] * 4, None)
    result = train(job(iterations=1, class_counts=counts))
    assert result["class_counts"] == counts


def test_the_best_checkpoint_is_chosen_by_the_criterion_in_its_own_direction(job, volume):
    values = {2: 0.2, 4: 0.9, 6: 0.5}
    asked = []

    def score(model, iteration):
        asked.append(iteration)
        assert not model.training
        return {"voi": 1 - values[iteration], "f1": values[iteration]}

    for criterion, higher in (("f1", True), ("voi", False)):
        made = job(
            job().directory / criterion,
            iterations=6,
            checkpoint={"interval": 2, "keep_last": 1},
            validation=(volume("other", seed=2),),
            validation_section={"crops": 1, "criterion": criterion, "segmentation_interval": 2},
            validate_segmentation=score,
            higher_is_better=higher,
        )
        best = train(made)["best"]
        assert best["iteration"] == 4
        assert best["higher_is_better"] is higher
        assert {path.name[-4] for path in list_checkpoints(made.directory / "checkpoints")} == {"4", "6"}
    assert asked == [2, 4, 6] * 2
    section = {"crops": 1, "criterion": "dice", "segmentation_interval": 2}
    wrong = job(
        iterations=2,
        checkpoint={"interval": 2},
        validation=(volume("other", seed=2),),
        validation_section=section,
        validate_segmentation=lambda model, iteration: {"voi": 1.0, "f1": 1.0},
    )
    with pytest.raises(ConfigurationError, match="the scores of this task are f1, voi"):
        train(wrong)


def test_a_loss_that_is_not_finite_stops_with_the_last_good_checkpoint(job, monkeypatch):
    made = job(iterations=9, checkpoint={"interval": 2})
    step = TrainingState.step

    def poisoned(state, batch):
        if state.iteration == 5:
            batch["raw"][0, 0, 0, 0, 0] = np.nan
        return step(state, batch)

    monkeypatch.setattr(TrainingState, "step", poisoned)
    with pytest.raises(TrainingError, match=r"loss is nan at iteration 6.*good checkpoint is .*00000004\.pt"):
        train(made)
    assert (
        max(path.name for path in list_checkpoints(made.directory / "checkpoints")) == "iteration_00000004.pt"
    )


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
@pytest.mark.parametrize("clip", [1.0, None])
def test_a_gradient_that_is_not_finite_stops_before_the_weights_change(job, monkeypatch, optimizer, clip):
    made = job(
        iterations=10, optimizer={"type": optimizer, "gradient_clip": clip}, checkpoint={"interval": 4}
    )
    compute = attacca.training.state.compute_loss
    calls = []

    def compute_with_square_root(loss, output, target, weight):
        calls.append(1)
        value = compute(loss, output, target, weight)
        # The square root of 0 is 0, and its derivative is infinite.
        return value + torch.sqrt((output - output.detach()).abs()).mean() if len(calls) == 6 else value

    monkeypatch.setattr(attacca.training.state, "compute_loss", compute_with_square_root)
    with pytest.raises(
        TrainingError, match=r"gradient is nan at iteration 6.*good checkpoint is .*00000004\.pt"
    ):
        train(made)


def test_a_diverging_loss_stops(job, monkeypatch):
    made = job(iterations=60, divergence_factor=1.5)
    step = TrainingState.step

    def heavier(state, batch):
        if state.iteration > 22:
            with torch.no_grad():
                for parameter in state.chain[1].parameters():
                    parameter.add_(3.0)
        return step(state, batch)

    monkeypatch.setattr(TrainingState, "step", heavier)
    with pytest.raises(TrainingError, match="training diverges"):
        train(made)


def test_a_device_that_is_not_there_is_refused(job):
    if torch.cuda.is_available():
        requested, message = "cuda:99", "counted from 0"
    else:
        requested, message = "cuda", "finds no GPU"
    with pytest.raises(ConfigurationError, match=message):
        train(job(device=requested))
    with pytest.raises(ConfigurationError, match="needs a GPU"):
        train(job(device="cpu", precision="float16"))


@pytest.mark.parametrize(
    "task",
    [
        AffinitiesTaskConfig(neighborhood=[[1, 0, 0]], lsds=True, num_lsd_voxels=2),
        DistanceTaskConfig(channels=["a"], clip_distance=1, tol_distance=1, scale_factor=16),
        HotDistanceTaskConfig(channels=["a"], clip_distance=1, tol_distance=1, scale_factor=16),
    ],
    ids=["lsds", "distance", "hot_distance"],
)
def test_every_task_trains_with_valid_convolutions_too(job, task):
    architecture = UNetConfig(
        input_shape=(24, 24, 24), num_fmaps=2, downsample_factors=((2, 2, 2),), padding="valid"
    )
    result = train(
        job(iterations=2, task=task, architecture=architecture, precision="bfloat16", batch_size=2)
    )
    assert np.isfinite(result["iterations"])


def test_a_plane_is_trained_on(job, volume):
    made = job(
        iterations=2,
        volumes=(volume("flat", seed=5, shape=(60, 60)),),
        architecture=UNetConfig(input_shape=(32, 32), num_fmaps=2, downsample_factors=((2, 2),)),
        task=AffinitiesTaskConfig(neighborhood=[[1, 0], [0, 1]]),
    )
    train(made)
    with np.load(made.directory / "snapshots" / "iteration_00000002.npz") as picture:
        assert picture["raw"].shape == (1, 32, 32)
