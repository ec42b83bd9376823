import json
import shutil
from itertools import pairwise

import pytest
import torch

from attacca.checkpoint import read_checkpoint, save_checkpoint
from attacca.config.architecture import UNetConfig
from attacca.config.tasks import OneHotTaskConfig, PretrainedTaskConfig
from attacca.config.training import CheckpointConfig, OptimizerConfig
from attacca.errors import CheckpointError, MissingInputError
from attacca.layout import TrainingFiles
from attacca.training import checkpoint_digest, load_model, records, train
from attacca.training.checkpoint_directory import (
    checkpoint_path,
    latest_checkpoint,
    latest_state,
    list_checkpoints,
    prune_checkpoints,
)
from attacca.training.optimization import WeightAverage, compute_learning_rate, create_optimizer
from attacca.training.state import TrainingState


def test_bytes_of_a_checkpoint_depend_on_its_content_alone(tmp_path):
    content = {"weights": torch.arange(5.0), "iteration": 3}
    save_checkpoint(tmp_path / "iteration_00000001.pt", content)
    save_checkpoint(tmp_path / "deeper" / "iteration_00000200.pt", content)
    first = (tmp_path / "iteration_00000001.pt").read_bytes()
    assert first == (tmp_path / "deeper" / "iteration_00000200.pt").read_bytes()
    assert torch.equal(read_checkpoint(tmp_path / "iteration_00000001.pt")["weights"], torch.arange(5.0))


def test_a_damaged_checkpoint_is_passed_over_for_an_older_one(tmp_path):
    for iteration in (10, 20):
        save_checkpoint(checkpoint_path(tmp_path, iteration), {"iteration": iteration})
    newest = checkpoint_path(tmp_path, 20)
    newest.write_bytes(newest.read_bytes()[:-300])
    with pytest.raises(CheckpointError, match="cannot be read"):
        read_checkpoint(newest)
    with pytest.warns(UserWarning, match="using an older one"):
        found = latest_checkpoint(tmp_path)
    assert found is not None and found[1]["iteration"] == 10
    assert latest_checkpoint(tmp_path / "empty") is None
    with pytest.raises(MissingInputError, match="no such checkpoint"):
        read_checkpoint(tmp_path / "none.pt")
    torch.save({"model": {}}, tmp_path / "other.pt")
    with pytest.raises(CheckpointError, match="not a checkpoint of this version"):
        read_checkpoint(tmp_path / "other.pt")


def test_a_training_that_is_stopped_before_its_first_checkpoint_resumes_between_checkpoints(
    job, tmp_path, monkeypatch, caplog
):
    whole = job(tmp_path / "whole", iterations=8, checkpoint={"interval": 6})
    train(whole)
    stopped = job(tmp_path / "stopped", iterations=8, checkpoint={"interval": 6})
    monkeypatch.setattr(records, "_RECOVERY_SECONDS", 0)
    step = TrainingState.step

    def fail_once(state, batch):
        if state.iteration == 4:
            raise KeyboardInterrupt
        return step(state, batch)

    with monkeypatch.context() as patch:
        patch.setattr(TrainingState, "step", fail_once)
        with pytest.raises(KeyboardInterrupt):
            train(stopped)
    assert not list_checkpoints(stopped.files.checkpoints)
    done = read_checkpoint(stopped.files.recovery)["iteration"]
    assert 1 <= done <= 4
    with caplog.at_level("INFO", logger="attacca"):
        train(stopped)
    assert f"training resumes after iteration {done} of 8, from recovery.pt" in caplog.text
    assert not stopped.files.recovery.exists()
    for file in (
        "metrics.tsv",
        "validation.tsv",
        "checkpoints/best.json",
        "checkpoints/iteration_00000008.pt",
    ):
        assert (stopped.directory / file).read_bytes() == (whole.directory / file).read_bytes(), file


def test_a_damaged_state_between_checkpoints_is_passed_over_for_the_checkpoint(tmp_path):
    files = TrainingFiles(tmp_path)
    for iteration, path in ((10, checkpoint_path(files.checkpoints, 10)), (12, files.recovery)):
        save_checkpoint(path, {"iteration": iteration})
    assert latest_state(files)[0] == files.recovery
    files.recovery.write_bytes(files.recovery.read_bytes()[:-300])
    with pytest.warns(UserWarning, match="using an older state"):
        assert latest_state(files)[1]["iteration"] == 10
    save_checkpoint(files.recovery, {"iteration": 9})
    assert latest_state(files)[1]["iteration"] == 10


def test_the_last_the_best_and_every_nth_checkpoint_are_kept(tmp_path):
    for iteration in range(10, 110, 10):
        save_checkpoint(checkpoint_path(tmp_path, iteration), {})
    prune_checkpoints(tmp_path, CheckpointConfig(keep_last=2, keep_every=40), also=[30])
    assert [path.name[10:-3] for path in list_checkpoints(tmp_path)] == [
        f"{i:08d}" for i in (30, 40, 80, 90, 100)
    ]


def test_a_model_is_loaded_with_the_properties_that_prediction_needs(job):
    made = job(iterations=4)
    result = train(made)
    path = made.directory / "checkpoints" / result["best"]["file"]
    model, meta = load_model(path)
    assert not model.training
    assert meta.iteration == 4
    assert meta.voxel_size == (8, 8, 8)
    assert meta.intensity == {"minimum": 0.0, "maximum": 255.0}
    assert meta.task == made.task and meta.architecture == made.architecture
    assert meta.digest == result["best"]["digest"] == checkpoint_digest(path)
    content = read_checkpoint(path)
    weights = model.chain.state_dict()
    assert all(torch.equal(weights[name], value) for name, value in content["ema"].items())
    assert any(not torch.equal(weights[name], value) for name, value in content["model"].items())
    # Nothing that only training needs changes the digest.
    del content["format"]
    save_checkpoint(path, {**content, "optimizer": {}, "iteration": 9})
    assert checkpoint_digest(path) == meta.digest
    content["ema"]["1.bias"] += 1
    save_checkpoint(path, content)
    assert checkpoint_digest(path) != meta.digest


def test_the_members_of_an_ensemble_are_trained_and_stored(job):
    network = UNetConfig(input_shape=(16, 16, 16), num_fmaps=2, downsample_factors=((2, 2, 2),), members=2)
    made = job(architecture=network, iterations=4)
    result = train(made)
    model, _ = load_model(made.directory / "checkpoints" / result["best"]["file"])
    assert len(model.chain.members) == 2
    assert model(torch.zeros((1, 1, 16, 16, 16))).shape == (1, 4, 16, 16, 16)


def test_all_members_of_an_ensemble_start_from_a_trained_ensemble(job, tmp_path):
    network = UNetConfig(input_shape=(16, 16, 16), num_fmaps=2, downsample_factors=((2, 2, 2),), members=2)
    first = job(tmp_path / "first", architecture=network, iterations=2)
    weights = first.directory / "checkpoints" / train(first)["best"]["file"]
    task = PretrainedTaskConfig(sub_task_config=first.task, weights=weights)
    second = job(tmp_path / "second", architecture=network, iterations=1, task=task)
    train(second)
    report = json.loads((second.directory / "initial_weights.json").read_text())
    trained, _ = load_model(weights)
    assert sorted(report["loaded"]) == sorted(trained.chain.state_dict())
    assert report["missing"] == report["unexpected"] == []


def test_a_checkpoint_of_another_network_is_refused(job):
    made = job(iterations=1)
    result = train(made)
    path = made.directory / "checkpoints" / result["best"]["file"]
    content = read_checkpoint(path)
    description = json.loads(content["configuration"])
    description["architecture"]["num_fmaps"] = 3
    del content["format"]
    save_checkpoint(path, {**content, "configuration": json.dumps(description)})
    with pytest.raises(CheckpointError, match="do not fit the network"):
        load_model(path)


def test_another_head_starts_from_a_trained_network_and_logs_the_loaded_weights(job, tmp_path, caplog):
    first = job(tmp_path / "first", iterations=3)
    best = train(first)["best"]
    weights = first.directory / "checkpoints" / best["file"]
    classes = OneHotTaskConfig(classes=["a", "b", "c"], kernel_size=1)
    task = PretrainedTaskConfig(sub_task_config=classes, weights=weights)
    second = job(tmp_path / "second", iterations=2, task=task, checkpoint={"interval": 1})
    with caplog.at_level("WARNING"):
        train(second)
    # 12 convolutions of the network with weight and bias came along; the head is new.
    assert "weights loaded from" in caplog.text
    assert "prediction_head.weight" in caplog.text
    report = json.loads((second.directory / "initial_weights.json").read_text())
    assert set(report["mismatched"]) == {"prediction_head.weight", "prediction_head.bias"}
    assert not report["missing"] and not report["unexpected"]
    assert all(name.startswith("architecture.") for name in report["loaded"])
    network = read_checkpoint(weights)["model"]
    assert len(report["loaded"]) == len(network) - 2
    assert report["summary"] in caplog.text
    assert not (first.directory / "initial_weights.json").exists()
    # The trained model stands for itself: the weights that it started from are not needed any more.
    shutil.rmtree(first.directory)
    model, meta = load_model(checkpoint_path(second.directory / "checkpoints", 2))
    assert meta.task == classes
    assert model.num_out_channels == 3


def test_the_learning_rate_rises_and_falls_as_configured():
    config = OptimizerConfig(learning_rate=1.0, warm_up=10, final_fraction=0.1)
    rates = [compute_learning_rate(config, i, 110) for i in range(111)]
    assert rates[0] == 0.1 and rates[9] == 1.0 and rates[10] == 1.0
    assert rates[60] == pytest.approx(0.55)
    assert rates[110] == pytest.approx(0.1)
    assert all(a >= b for a, b in pairwise(rates[10:]))
    constant = OptimizerConfig(learning_rate=1.0, warm_up=0, schedule="constant")
    assert {compute_learning_rate(constant, i, 10) for i in range(10)} == {1.0}


@pytest.mark.parametrize("kind", ["adamw", "radam", "muon"])
def test_weights_decay_apart_from_the_gradient_and_biases_do_not(kind):
    model = torch.nn.Linear(3, 2)
    before = {name: value.clone() for name, value in model.named_parameters()}
    config = OptimizerConfig(type=kind, learning_rate=0.1, weight_decay=0.5)
    optimizer = create_optimizer(config, model)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    assert torch.allclose(model.weight, before["weight"] * 0.95)
    assert torch.equal(model.bias, before["bias"])


def test_averaged_weights_follow_slowly_and_forget_the_beginning():
    model = torch.nn.Linear(2, 2)
    average = WeightAverage(model, 0.99)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(1.0)
    for iteration in range(300):
        average.update(model, iteration)
    assert all(torch.allclose(value, torch.ones_like(value), atol=1e-3) for value in average.state.values())
    with torch.no_grad():
        model.weight.fill_(2.0)
    average.update(model, 300)
    assert torch.allclose(average.state["weight"], torch.full((2, 2), 1 + 9 / 310), atol=2e-3)


def test_networks_with_batch_normalization_keep_their_statistics(job):
    architecture = UNetConfig(
        input_shape=(16, 16, 16), num_fmaps=2, downsample_factors=((2, 2, 2),), normalization="batch"
    )
    made = job(iterations=3, architecture=architecture)
    model, _ = load_model(made.directory / "checkpoints" / train(made)["best"]["file"])
    assert any(
        float(module.running_var.std()) > 0 for module in model.modules() if hasattr(module, "running_var")
    )
