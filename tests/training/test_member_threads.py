"""Members of an ensemble in threads, compared with one after the other."""

import threading

import pytest
import torch

from attacca.checkpoint import read_checkpoint
from attacca.config.architecture import UNetConfig
from attacca.training import train
from attacca.training.checkpoint_directory import latest_checkpoint
from attacca.training.member_threads import MemberThreads

NETWORK = {
    "input_shape": (16, 16, 16),
    "num_fmaps": 4,
    "downsample_factors": ((2, 2, 2),),
    "normalization": "batch",
}


def create_members(count: int) -> list[torch.nn.Module]:
    torch.manual_seed(1)
    return [torch.nn.Sequential(torch.nn.Conv2d(1, 8, 3), torch.nn.BatchNorm2d(8)) for _ in range(count)]


@pytest.mark.parametrize(("members", "threads"), [(2, 2), (3, 2), (2, 4), (4, 1)])
def test_gradients_in_threads_have_the_bytes_of_one_member_after_the_other(members, threads):
    raw = torch.rand((2, 1, 24, 24))

    def compute(member: torch.nn.Module) -> torch.Tensor:
        return (member(raw) ** 4).mean()

    alone, together = create_members(members), create_members(members)
    usual = torch.get_num_threads()
    torch.set_num_threads(max(1, threads // members))
    loss = torch.stack([compute(member) for member in alone]).mean()
    loss.backward()
    torch.set_num_threads(usual)
    found = MemberThreads(together, threads).descend(compute)
    assert torch.equal(found, loss.detach()) and not found.requires_grad
    for one, other in zip(alone, together):
        assert torch.equal(one[1].running_var, other[1].running_var)
        for expected, weights in zip(one.parameters(), other.parameters()):
            assert torch.equal(expected.grad, weights.grad)


def test_as_many_members_as_threads_are_trained_at_a_time():
    threads = torch.get_num_threads()
    together = threading.Barrier(2, timeout=60)
    seen = []

    def compute(member: torch.nn.Module) -> torch.Tensor:
        together.wait()
        seen.append(torch.get_num_threads())
        return member(torch.ones((1, 1, 4, 4))).sum()

    members = [torch.nn.Conv2d(1, 1, 3) for _ in range(4)]
    MemberThreads(members, 2).descend(compute)
    assert seen == [1] * 4
    seen.clear()
    MemberThreads(members[:2], 6).descend(compute)
    assert seen == [3] * 2
    assert torch.get_num_threads() == threads


def test_an_error_of_one_member_reaches_the_caller():
    def compute(member: torch.nn.Module) -> torch.Tensor:
        raise ValueError("a bad loss")

    with pytest.raises(ValueError, match="a bad loss"):
        MemberThreads(create_members(2), 2).descend(compute)


def test_a_training_of_an_ensemble_has_the_same_bytes_with_one_thread_and_with_one_per_member(job, tmp_path):
    weights = []
    for threads in (1, 2):
        made = job(
            tmp_path / str(threads),
            architecture=UNetConfig(**NETWORK, members=2),
            iterations=3,
            torch_threads=threads,
        )
        train(made)
        latest = latest_checkpoint(made.files.checkpoints)
        assert latest is not None
        weights.append(read_checkpoint(latest[0])["model"])
    assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())
