"""Installation on a fresh machine: pins, the conda environment, the container recipes."""

import os
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from attacca.jobs.stage import FINISH, PLAN, SHARD
from attacca.stages.report import REPORT
from attacca.workflow.workflow import ALL_STAGES, PREPARED

REPOSITORY = Path(__file__).resolve().parents[2]
REWRITE = "ATTACCA_WRITE_DOCS"
CUDA = ("nvidia-", "cuda-", "triton")
"""Beginnings of the names of packages that PyTorch needs on Linux alone; pip adds them there."""


def pins() -> dict[str, str]:
    lines = (REPOSITORY / "envs" / "constraints.txt").read_text().splitlines()
    pairs = (line.split("==") for line in lines if line and not line.startswith("#"))
    return {canonicalize_name(name): version.strip() for name, version in pairs}


def project() -> dict:
    return tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]


def needed() -> set[str]:
    """Return all packages that Attacca depends on, directly or not, including object stores and SLURM."""
    waiting = [Requirement(text) for text in project()["dependencies"]]
    waiting += [
        Requirement(text) for name in ("s3", "slurm") for text in project()["optional-dependencies"][name]
    ]
    seen: set[str] = set()
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        extras = {"", *requirement.extras}
        marker = requirement.marker
        if name in seen or (marker and not any(marker.evaluate({"extra": extra}) for extra in extras)):
            continue
        seen.add(name)
        try:
            below = metadata.requires(requirement.name) or []
        except metadata.PackageNotFoundError:
            continue
        for text in below:
            child = Requirement(text)
            if child.marker is None or any(child.marker.evaluate({"extra": extra}) for extra in extras):
                waiting.append(child)
    return seen


def portable() -> set[str]:
    return {name for name in needed() if not name.startswith(CUDA)}


def test_every_package_that_attacca_needs_is_pinned_directly_or_not():
    assert len(needed()) > 50
    assert needed() - set(pins()) == set()


def test_the_readme_installs_pytorch_without_cuda_at_the_pinned_version_into_an_environment_that_it_creates():
    text = (REPOSITORY / "README.md").read_text()
    block = next(block for block in re.findall(r"```bash\n(.*?)```", text, re.DOTALL) if "whl/cpu" in block)
    create, install, start = block.splitlines()
    assert create.startswith("python3.13 -m venv .venv")
    assert install.startswith(f".venv/bin/pip install torch=={pins()['torch']} --index-url")
    assert start == "./run"


def test_pins_are_public_versions_that_fit_what_pyproject_asks_for():
    known = pins()
    assert not [name for name, version in known.items() if not re.fullmatch(r"[0-9][0-9a-z.!]*", version)]
    for text in project()["dependencies"]:
        requirement = Requirement(text)
        assert requirement.specifier.contains(known[canonicalize_name(requirement.name)]), text


@pytest.mark.slow
def test_pip_resolves_the_pins():
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--quiet", "--disable-pip-version-check"]
    command += ["-c", "envs/constraints.txt", "-e", ".[s3,slurm]"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]


def test_the_conda_environment_holds_the_pins_of_all_that_attacca_needs():
    # Snakemake copies the file elsewhere before conda reads it: a path in it would lead nowhere.
    path = REPOSITORY / "envs" / "attacca.yaml"
    if os.environ.get(REWRITE):
        head = path.read_text().split("  - pip:\n")[0] + "  - pip:\n"
        path.write_text(head + "".join(f"      - {name}=={pins()[name]}\n" for name in sorted(portable())))
    dependencies = yaml.safe_load(path.read_text())["dependencies"]
    lines = next(item["pip"] for item in dependencies if isinstance(item, dict))
    listed = dict(line.split("==") for line in lines)
    assert listed == {name: pins()[name] for name in listed}
    direct = [
        *project()["dependencies"],
        *(text for name in ("s3", "slurm") for text in project()["optional-dependencies"][name]),
    ]
    assert {canonicalize_name(Requirement(text).name) for text in direct} - set(listed) == set()
    # Other platforms and versions of Python need some packages more; pip finds those by itself.
    assert len(set(listed) & portable()) > 0.9 * len(portable())
    python = next(str(item) for item in dependencies if str(item).startswith("python "))
    assert SpecifierSet(project()["requires-python"]).contains(python.removeprefix("python =") + ".0")


def test_every_rule_has_the_conda_environment_from_the_template_that_it_inherits() -> None:
    parents: dict[str, str] = {}
    for path in sorted((REPOSITORY / "rules").glob("*.smk")):
        rules = re.split(r"^(?=rule |use rule )", path.read_text(), flags=re.MULTILINE)[1:]
        for rule in rules:
            inherits = re.match(r"use rule (\w+) as (\w+) with:", rule)
            if inherits is None:
                assert "../envs/attacca.yaml" in rule, (
                    f"{path.name}: {rule.splitlines()[0]} has no conda line"
                )
                parents[rule.removeprefix("rule ").split(":")[0]] = ""
            else:
                parents[inherits[2]] = inherits[1]
                assert "conda:" not in rule, f"{path.name}: {inherits[2]} replaces the conda line"
    expected = {
        f"{stage.name}_{action}" if stage.is_blockwise else stage.name
        for stage in ALL_STAGES
        for action in (PLAN, SHARD, FINISH)
    }
    assert set(parents) == {"job", *expected, *(f"{stage}_shard" for stage in PREPARED)}
    for name in parents:
        while parents[name]:
            name = parents[name]
        assert name == "job"


def test_rules_that_run_on_the_machine_of_snakemake_are_those_of_short_stages() -> None:
    block = (REPOSITORY / "Snakefile").read_text().split("localrules:")[1].split("\n\n")[0]
    local = {name.strip() for name in block.split(",")} - {""}
    plans = {f"{stage.name}_{PLAN}" for stage in ALL_STAGES if stage.is_blockwise and stage.plans_locally}
    assert local == {"all", REPORT.name, *plans}


@pytest.mark.parametrize("recipe", ["Dockerfile", "attacca.def"])
def test_the_modules_that_a_container_recipe_imports_exist(recipe: str) -> None:
    lines = re.findall(r'python -c "import ([^"]*)"', (REPOSITORY / "envs" / recipe).read_text())
    modules = [name.strip() for line in lines for name in line.split(",")]
    assert modules
    for name in modules:
        assert find_spec(name) is not None, name


@pytest.mark.parametrize("recipe", ["Dockerfile", "attacca.def"])
def test_files_that_a_container_recipe_copies_exist(recipe):
    text = (REPOSITORY / "envs" / recipe).read_text()
    assert "envs/constraints.txt" in text
    if recipe == "Dockerfile":
        copied = [
            word
            for line in re.findall(r"^COPY (.*)$", text, flags=re.MULTILINE)
            for word in line.split()[:-1]
        ]
    else:
        section = text.split("%files")[1].split("%post")[0]
        copied = [line.split()[0] for line in section.strip().splitlines()]
    assert len(copied) > 5
    for name in copied:
        assert (REPOSITORY / name).exists(), name


def test_the_profile_never_uses_job_arrays_and_sets_the_status_command():
    profile = yaml.safe_load((REPOSITORY / "profiles" / "slurm" / "config.yaml").read_text())
    assert "slurm-array-jobs" not in profile
    assert profile["executor"] == "slurm"
    assert profile["slurm-status-command"] in ("squeue", "sacct")
    assert profile["retries"] >= 2
    assert profile["default-resources"]["mem_mb"] >= 500
    for path in sorted((REPOSITORY / "rules").glob("*.smk")):
        # On a cluster, a rule's own retries multiply with those of the profile.
        assert not re.search(r"^\s+retries:", path.read_text(), flags=re.MULTILINE), path.name
