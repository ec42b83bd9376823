"""Stages that each changed setting reruns, from dry runs on finished results, as in the table of docs/reruns.md."""

import copy
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml

from attacca.config.execution import ExecutionConfig
from attacca.config.load import load_configuration
from attacca.config.run import RunConfig
from model_files import make_model_file
from tiny_configuration import tiny_configuration
from warm_python import WarmPython

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

REPOSITORY = Path(__file__).resolve().parents[2]
PAGE = REPOSITORY / "docs" / "reruns.md"
REWRITE = "ATTACCA_WRITE_DOCS"

HALF = [16, 32, 32]
"""Block of which every volume has two: another number of shards changes nothing where there is one block."""
CONFIGURATION: dict[str, Any] = tiny_configuration(
    seed=5, export={"hdf5": True}, prediction={"block_size": HALF}, segmentation={"block_size": HALF}
)
for _volume in CONFIGURATION["volumes"].values():
    _volume["chunk"] = HALF
CONFIGURATION["execution"]["shards"] = 1

STAGES = (
    "volume",
    "targets",
    "train",
    "predict",
    "tune",
    "bundle",
    "fragments",
    "graph",
    "agglomerate",
    "relabel",
    "evaluate",
    "objects",
    "export",
    "provenance",
    "report",
)
SEGMENTATION = (
    "tune",
    "bundle",
    "fragments",
    "graph",
    "agglomerate",
    "relabel",
    "evaluate",
    "objects",
    "export",
)
APPLIED = ("predict", "fragments", "graph", "agglomerate", "relabel", "evaluate", "objects", "export")
ALWAYS = ("provenance", "report")


def _set(*path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(values: dict[str, Any]) -> None:
        for key in path[:-1]:
            values = values.setdefault(key, {})
        values[path[-1]] = value

    return change


def _run(*path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    return _set("runs", "tiny", *path, value=value)


def _one_more_volume(values: dict[str, Any]) -> None:
    values["volumes"]["added"] = {"synthetic": {"shape": [32, 32, 32], "seed": 9}, "voxel_size": [8, 8, 8]}
    values["runs"]["tiny"]["volumes"]["test"] = ["tested", "added"]


def _one_more_run(values: dict[str, Any]) -> None:
    values["runs"]["added"] = copy.deepcopy(values["runs"]["tiny"]) | {"seed": 11}


# What is changed, how, and the stages that must run again.
GROUPS: dict[str, tuple[Callable[[dict[str, Any]], None], tuple[str, ...]]] = {
    "nothing": (lambda values: None, ()),
    "order of keys, comments": (lambda values: values.update(dict(reversed(list(values.items())))), ()),
    "`volumes.X` of a training volume": (
        _set("volumes", "taught", "synthetic", "seed", value=77),
        ("volume", "targets", "train", "predict", *SEGMENTATION, *ALWAYS),
    ),
    "`volumes.X` of a validation volume": (
        _set("volumes", "chosen", "synthetic", "seed", value=79),
        ("volume", "targets", "train", "predict", *SEGMENTATION, *ALWAYS),
    ),
    "`volumes.X` of a test volume": (
        _set("volumes", "tested", "synthetic", "seed", value=78),
        ("volume", *APPLIED, *ALWAYS),
    ),
    "one more test volume: stages of that volume": (_one_more_volume, ("volume", *APPLIED, *ALWAYS)),
    "one more run: stages of that run": (
        _one_more_run,
        ("targets", "train", "predict", *SEGMENTATION, *ALWAYS),
    ),
    "`task`": (
        _run("task", "neighborhood", value=[[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 3, 0]]),
        ("targets", "train", "predict", *SEGMENTATION, *ALWAYS),
    ),
    "`architecture`": (
        _run("architecture", "num_fmaps", value=5),
        ("train", "predict", *SEGMENTATION, *ALWAYS),
    ),
    "`training`": (
        _run("training", "optimizer", value={"learning_rate": 0.01}),
        ("train", "predict", *SEGMENTATION, *ALWAYS),
    ),
    "`model`, with training volumes": (
        _run("model", value="model.zip"),
        ("train", "predict", *SEGMENTATION, *ALWAYS),
    ),
    "`seed`": (_run("seed", value=6), ("train", "predict", *SEGMENTATION, *ALWAYS)),
    "`prediction`": (_run("prediction", "dtype", value="float32"), ("predict", *SEGMENTATION, *ALWAYS)),
    "`segmentation`: chain, bias, threshold, ...": (
        _run("segmentation", "threshold", value=[0.4, 0.6]),
        (*SEGMENTATION, *ALWAYS),
    ),
    "`segmentation`: blocks, mask, checks": (
        _run("segmentation", "block_size", value=[64, 64, 64]),
        (*SEGMENTATION, *ALWAYS),
    ),
    "`evaluation`": (_run("evaluation", "border", value=2), (*SEGMENTATION, *ALWAYS)),
    "`export`": (_run("export", value={"hdf5": {"dtype": "uint32"}}), ("export", *ALWAYS)),
    "`about`": (_run("about", value={"license": "CC0-1.0"}), ("bundle", *ALWAYS)),
    "`execution.shards`": (_set("execution", "shards", value=2), ()),
    "other `execution`": (
        lambda values: values["execution"].update(
            threads=2,
            gpus=1,
            memory_mb=3000,
            runtime_minutes=600,
            retries=0,
            block_timeout=100.0,
            agglomeration_blocks=4,
            scheduler_address="tcp://127.0.0.1:8786",
            progress_interval=1.0,
            log_level="debug",
        ),
        (),
    ),
    "`training`: loader processes": (_run("training", "loader_workers", value=1), ()),
}
SHARDS_ONLY = "`execution.shards`"


def snakemake(python: Path, directory: Path, *more: str) -> str:
    command = [str(python), "-m", "snakemake", "--snakefile", str(REPOSITORY / "Snakefile"), *more]
    done = subprocess.run(
        command, cwd=directory, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-5000:]
    return done.stdout + done.stderr


def write(directory: Path, name: str, values: dict[str, Any]) -> Path:
    path = directory / name
    path.write_text(yaml.safe_dump(values, sort_keys=False))
    return path


def planned(text: str) -> set[str]:
    """Names of the rules in a dry run's table of jobs."""
    table = re.search(r"^job +count\n-+ +-+\n(.*?)^total", text, flags=re.MULTILINE | re.DOTALL)
    if table is None:
        assert "Nothing to be done" in text, text[-3000:]
        return set()
    return {line.split()[0] for line in table[1].splitlines()} - {"all"}


def stage_of(rule: str) -> str:
    return re.sub(r"_(plan|shard|finish)$", "", rule)


@pytest.fixture(scope="module")
def python(warm_python: Callable[[], WarmPython]) -> Path:
    """The interpreter of Snakemake and its jobs."""
    return warm_python().python


@pytest.fixture(scope="module")
def finished(python: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with finished results."""
    directory = tmp_path_factory.mktemp("reruns")
    configuration = write(directory, "config.yaml", CONFIGURATION)
    run = load_configuration(configuration).runs["tiny"]
    make_model_file(
        directory / "model.zip",
        run.task.model_dump(mode="json"),
        architecture=run.architecture.model_dump(mode="json"),
    )
    snakemake(python, directory, "--configfile", str(configuration), "--cores", "2")
    return directory


def ask(python: Path, finished: Path, with_records: bool) -> dict[str, str]:
    """Return for each group the jobs that Snakemake would run again on finished results.

    Args:
        python: the interpreter of Snakemake.
        finished: the directory with the results.
        with_records: whether Snakemake has its own records of the results, ``.snakemake``.
    """

    def answer(number: int, change: Callable[[dict[str, Any]], None]) -> str:
        values = copy.deepcopy(CONFIGURATION)
        change(values)
        path = write(finished, f"changed-{number}.yaml", values)
        directory = finished / f"asked-{number}-{with_records}"
        directory.mkdir()
        if with_records:
            shutil.copytree(finished / ".snakemake", directory / ".snakemake")
        return snakemake(python, directory, "--configfile", str(path), "--dry-run")

    with ThreadPoolExecutor(2) as pool:
        found = pool.map(answer, range(len(GROUPS)), (change for change, _ in GROUPS.values()))
        return dict(zip(GROUPS, found))


@pytest.fixture(scope="module")
def answers(python: Path, finished: Path) -> dict[str, str]:
    """Answers with Snakemake's records."""
    return ask(python, finished, with_records=True)


@pytest.fixture(scope="module")
def answers_without_records(python: Path, finished: Path) -> dict[str, str]:
    """Answers where ``.snakemake`` was deleted."""
    return ask(python, finished, with_records=False)


@pytest.fixture(scope="module")
def plans(answers: dict[str, str]) -> dict[str, set[str]]:
    """For each group, the rules that would run again."""
    return {group: planned(text) for group, text in answers.items()}


def changed_keys(*section: str) -> set[str]:
    """Keys of a section of the configuration that some group changes."""
    found = set()
    for change, _ in GROUPS.values():
        before, after = copy.deepcopy(CONFIGURATION), copy.deepcopy(CONFIGURATION)
        change(after)
        for key in section:
            before, after = before[key], after[key]
        found |= {key for key in {**before, **after} if before.get(key) != after.get(key)}
    return found


def test_every_section_of_a_run_and_every_setting_of_the_execution_is_in_the_table():
    assert changed_keys("runs", "tiny") == set(RunConfig.model_fields)
    assert changed_keys("execution") == set(ExecutionConfig.model_fields)
    assert changed_keys() == {"volumes", "runs", "execution"}


@pytest.mark.parametrize("group", [group for group in GROUPS if group.startswith("one more")])
def test_what_is_added_is_computed_and_nothing_else(answers, group):
    found = re.findall(r"^ *rule (\w+):\n(?: +.*\n)*? +wildcards: (.*)$", answers[group], flags=re.MULTILINE)
    work = [wildcards for rule, wildcards in found if rule not in ALWAYS]
    assert len(work) > len(APPLIED)
    assert [wildcards for wildcards in work if "=added" not in wildcards] == []


def test_each_setting_re_runs_what_depends_on_it_and_nothing_else(plans):
    for group, (_, expected) in GROUPS.items():
        stages = {stage_of(rule) for rule in plans[group]}
        if group == SHARDS_ONLY:
            continue
        assert stages == set(expected), group


def test_manifests_identify_stale_stages_where_snakemake_has_no_records(plans, answers_without_records):
    found = {group: planned(text) for group, text in answers_without_records.items()}
    # What is finished stays finished, whatever number of jobs computed it.
    assert found.pop(SHARDS_ONLY) == set()
    assert found == {group: rules for group, rules in plans.items() if group != SHARDS_ONLY}


def test_another_number_of_shards_starts_the_shard_jobs_of_every_stage_with_blocks(plans):
    shards = {rule for rule in plans[SHARDS_ONLY] if rule.endswith("_shard")}
    with_blocks = ("volume", "targets", "predict", "fragments", "graph", "relabel")
    assert shards == {f"{stage}_shard" for stage in with_blocks}


def test_the_page_about_reruns_holds_the_table_of_the_dry_runs(plans):
    text = page(plans)
    if os.environ.get(REWRITE):
        PAGE.write_text(text)
    assert PAGE.read_text() == text, f"set {REWRITE}=1 to write the table again"


def page(plans: dict[str, set[str]]) -> str:
    """Return the page with its table replaced by that of the dry runs."""
    rows = ["| changed | " + " | ".join(STAGES) + " |", "|---" * (len(STAGES) + 1) + "|"]
    for group, rules in plans.items():
        cells = []
        for stage in STAGES:
            own = {rule for rule in rules if stage_of(rule) == stage}
            only_shards = group == SHARDS_ONLY and own
            cells.append("○" if only_shards else "●" if own else "")
        rows.append(f"| {group} | " + " | ".join(cells) + " |")
    lines = PAGE.read_text().splitlines()
    is_row = [line.startswith("|") for line in lines]
    first = is_row.index(True)
    after = first + is_row[first:].index(False)
    return "\n".join([*lines[:first], *rows, *lines[after:], ""])
