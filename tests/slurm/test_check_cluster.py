"""``attacca check --cluster`` on a real SLURM."""

from pathlib import Path

import pytest
import yaml

from attacca.cli.main import main
from tiny_configuration import tiny_configuration

# Without the time of fixtures, which wait for the cluster of another test process.
pytestmark = [pytest.mark.slurm, pytest.mark.slow, pytest.mark.timeout(900, func_only=True)]


@pytest.fixture
def check(slurm, tmp_path, capsys):
    """Function that runs the command with a profile and settings of the execution, and returns its code and lines."""

    def run(profile, **execution):
        values = {**tiny_configuration(), "results": str(tmp_path / "results"), "execution": execution}
        (tmp_path / "config.yaml").write_text(yaml.safe_dump(values))
        (tmp_path / "profile.yaml").write_text(yaml.safe_dump(profile))
        arguments = ["check", str(tmp_path / "config.yaml"), "--cluster", "--wait", "600"]
        code = main([*arguments, "--profile", str(tmp_path / "profile.yaml")])
        return code, capsys.readouterr().out.splitlines()

    return run


def problems(lines: list[str]) -> list[str]:
    return [line.removeprefix("PROBLEM: ") for line in lines if line.startswith("PROBLEM: ")]


def test_a_fitting_profile_has_no_problem_and_a_job_reports_its_node(check, tmp_path):
    code, lines = check({"slurm-status-command": "squeue", "max-threads": 1})
    assert (code, problems(lines)) == (0, [])
    assert any("a small job ran on" in line for line in lines)
    assert lines[-1] == "the cluster: no problems"
    assert not list(Path(tmp_path).rglob(".attacca-cluster-check*"))


def test_what_will_not_work_is_named_before_anything_is_submitted(check):
    profile = {
        "slurm-status-command": "sacct",
        "max-threads": 64,
        "set-resources": {"train": {"slurm_partition": "gpus"}, "predict_shard": {"slurm_partition": "gpu"}},
    }
    code, lines = check(profile, memory_mb={"predict": 9_000_000})
    assert code == 1
    found = problems(lines)
    assert [text.partition(":")[0] for text in found[:2]] == ["slurm-status-command", "max-threads"]
    assert "slurm_partition of train: found 'gpus', the cluster has no such partition" in "\n".join(found)
    assert any(text.startswith("predict tiny/chosen asks for 9,000,000 MB") for text in found)


def test_an_unknown_partition_is_named_and_the_refusal_of_sbatch_is_shown(check):
    profile = {
        "slurm-status-command": "squeue",
        "max-threads": 1,
        "default-resources": {"slurm_partition": "unknown"},
    }
    code, lines = check(profile)
    assert code == 1
    assert "the cluster has no such partition" in problems(lines)[0]
    assert problems(lines)[-1].startswith("sbatch refuses a small job: ")
