"""The commented lines of the profile for SLURM: Snakemake reads the values that a site would enter."""

import getpass
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

PROFILE = Path(__file__).resolve().parents[2] / "profiles" / "slurm" / "config.yaml"
WORKFLOW = """
rule train:
    output: "done.txt"
    retries: 1
    resources: runtime=lambda wildcards, attempt: 30 * attempt
    shell: "printenv TMPDIR > temporary.txt; exit 1"
"""


@pytest.fixture
def uncommented(tmp_path):
    """The profile of a site that has taken away every ``#`` in front of a setting, with scratch in a directory of the
    test."""
    head, sites, *rest = re.split(r"(?=^# --- )", PROFILE.read_text(), flags=re.MULTILINE)
    settings = re.sub(r"^( *)# ?( *[a-z_-]+:( |$))", r"\1\2", sites, flags=re.MULTILINE)
    values = yaml.safe_load("".join((head, settings.replace("/scratch/", f"{tmp_path}/"), *rest)))
    (tmp_path / "profile").mkdir()
    (tmp_path / "profile" / "config.yaml").write_text(yaml.safe_dump(values))
    return values


def test_every_commented_line_of_a_site_is_a_setting(uncommented):
    defaults, rules = uncommented["default-resources"], uncommented["set-resources"]
    assert {"slurm_account", "slurm_partition", "constraint", "tmpdir"} <= set(defaults)
    assert set(rules) == {"train", "predict_shard"}
    assert rules["train"]["slurm_partition"] == rules["predict_shard"]["slurm_partition"] == "gpu"


def test_snakemake_reads_the_intended_values(uncommented, tmp_path, monkeypatch):
    monkeypatch.setenv("USER", getpass.getuser())
    (tmp_path / "Snakefile").write_text(WORKFLOW)
    command = [sys.executable, "-m", "snakemake", "--workflow-profile", "profile", "--executor", "local"]
    done = subprocess.run([*command, "--cores", "1"], cwd=tmp_path, capture_output=True, text=True)
    attempts = re.findall(r"^ +resources: (.*)$", done.stderr, flags=re.MULTILINE)
    assert len(attempts) == 2, done.stderr
    for text in attempts:
        for setting in (
            "slurm_account=my-group",
            "slurm_partition=gpu",
            "constraint=cascadelake",
            "gpu_model=a100",
        ):
            assert setting in text
    assert "runtime=2880" in attempts[0] and "runtime=5760" in attempts[1]
    scratch = tmp_path / getpass.getuser()
    assert (tmp_path / "temporary.txt").read_text().strip() == str(scratch)
    assert scratch.is_dir()
