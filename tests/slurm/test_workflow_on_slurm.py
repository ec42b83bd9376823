"""The workflow on a real SLURM cluster: equal results to a local run, also after failures of jobs and nodes."""

import json
import os
import re
import shutil
import subprocess
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from attacca.blockwise import read_files
from attacca.provenance.content_digest import digest_content
from attacca.workflow.application import Application, InputVolume, prepare_application
from extension_files import LOSS
from tiny_configuration import tiny_configuration
from warm_python import WarmPython

pytestmark = [pytest.mark.slurm, pytest.mark.slow, pytest.mark.timeout(1800, func_only=True)]

REPOSITORY = Path(__file__).resolve().parents[2]
# Every stage, with shards and several blocks each, in as little time as possible; the loss is an extension.
CONFIGURATION: dict[str, Any] = tiny_configuration(
    iterations=10, prediction={"block_size": [16, 16, 16]}, segmentation={"block_size": [16, 16, 16]}
)
CONFIGURATION["extensions"] = ["absolute.py"]
CONFIGURATION["runs"]["tiny"]["task"]["loss"] = "absolute"
CONFIGURATION["execution"] = {"shards": {"predict": 2, "default": 1}, "threads": 1, "progress_interval": 1}
PREDICTION = "results/tiny/tested/prediction.json"


def write_configuration(directory: Path, **changes: Any) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "absolute.py").write_text(LOSS)
    values = {**CONFIGURATION, **changes}
    (directory / "config.yaml").write_text(yaml.safe_dump(values, sort_keys=False))


def arguments(*more: str) -> list[str]:
    return ["--snakefile", str(REPOSITORY / "Snakefile"), "--configfile", "config.yaml", *more]


def run_here(warm: WarmPython, directory: Path, *targets: str) -> None:
    places = [str(directory / target) for target in targets]
    command = [str(warm.python), "-m", "snakemake", *arguments("--cores", "2", "--", *places)]
    done = subprocess.run(
        command, cwd=directory, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-5000:]


@pytest.fixture(scope="module")
def trained(warm_python: Callable[[], WarmPython], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The workflow up to the trained network, computed on this machine."""
    directory = tmp_path_factory.mktemp("trained")
    write_configuration(directory)
    run_here(warm_python(), directory, "results/tiny/training.json", "results/volumes/tested.json")
    return directory


@pytest.fixture(scope="module")
def here(
    warm_python: Callable[[], WarmPython], trained: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The whole workflow, computed on this machine."""
    directory = tmp_path_factory.mktemp("here") / "project"
    shutil.copytree(trained, directory)
    run_here(warm_python(), directory)
    return directory


@pytest.fixture(scope="module")
def slow_prediction(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained network and a volume whose prediction, yet to come, takes long enough to be disturbed."""
    directory = tmp_path_factory.mktemp("slow")
    run = {**CONFIGURATION["runs"]["tiny"]}
    # Sixteen mirrored and turned copies of each of 64 blocks.
    run["prediction"] = {"block_size": [8, 8, 8], "augmentation": "all"}
    write_configuration(directory, runs={"tiny": run})
    shutil.copytree(trained / "results", directory / "results")
    return directory


@pytest.fixture(scope="module")
def undisturbed(
    warm_python: Callable[[], WarmPython], slow_prediction: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The slow prediction, computed here in peace."""
    directory = tmp_path_factory.mktemp("peace") / "project"
    shutil.copytree(slow_prediction, directory)
    run_here(warm_python(), directory, PREDICTION)
    return directory


def arrays(directory: Path) -> dict[str, bytes]:
    """Return every file of every array, by path; ledgers are not part of a result."""
    files = {}
    for path in sorted((directory / "results").rglob("*")):
        place = path.relative_to(directory)
        if path.is_file() and ".zarr/" in place.as_posix() and ".attacca" not in place.parts:
            files[place.as_posix()] = path.read_bytes()
    return files


def recorded(directory: Path) -> list[int]:
    """Numbers of the predicted blocks, as often as they were computed."""
    ledger = directory / "results/tiny/tested.zarr/prediction/s0/.attacca/ledger"
    return sorted(int(block) for file in read_files(ledger) for block in file.blocks)


def processes_of(directory: Path) -> list[str]:
    """Return the processes of the workflow in a directory, on all nodes."""
    found = []
    for process in psutil.process_iter(["cmdline", "status", "cwd"]):
        line = " ".join(process.info["cmdline"] or [])
        is_in_directory = str(directory) in line or (process.info["cwd"] or "").startswith(str(directory))
        if is_in_directory and process.info["status"] != psutil.STATUS_ZOMBIE:
            found.append(f"{process.pid} {line[:200]}")
    return found


def assert_nothing_is_left(slurm: Any, directory: Path) -> None:
    slurm.wait_for("end of all jobs", lambda: not slurm.jobs("PENDING,RUNNING,COMPLETING"))
    end = time.monotonic() + 60
    while processes_of(directory) and time.monotonic() < end:
        time.sleep(0.5)
    assert processes_of(directory) == []


def disturbed(
    slurm: Any, start: Callable[..., Any], source: Path, directory: Path, *more: str
) -> tuple[Any, Path]:
    """Start the slow prediction on the cluster in a directory of its own."""
    shutil.copytree(source, directory)
    run = start(directory, *arguments(*more, "--", str(directory / PREDICTION)))
    return run, directory


def shard_jobs(slurm: Any) -> list[Any]:
    return [job for job in slurm.jobs("RUNNING") if job.comment.startswith("rule_predict_shard")]


def test_the_whole_workflow_gives_the_arrays_of_the_laptop_through_sbatch_alone(
    slurm, on_slurm, here, tmp_path
):
    directory = tmp_path / "my data's (1)"
    write_configuration(directory)
    run = on_slurm(directory, *arguments())
    output = run.finish(1500)
    assert run.process.returncode == 0, output[-6000:]
    submissions = re.findall(r"SLURM jobid (\d+) \(log: .*/slurm_logs/(.+)/\d+\.log\)", output)
    local = re.findall(r"^localrule (\w+):", output, flags=re.MULTILINE)
    assert re.search(r"\d+ of \d+ steps \(100%\) done", output)
    # What runs here makes an empty array or writes a page; it computes no block. With one shard, the plan is grouped.
    assert set(local) == {"all", "report", "predict_plan"}
    # Of each of three volumes the import, with its targets; the training and the tuning; of two volumes two shards of the
    # prediction and its end, the whole segmentation, and the table of objects; the model file and the provenance.
    last = {job: number for number, job in submissions}
    assert len(last) == 3 + 1 + 1 + 2 * (2 + 1) + 2 + 2 + 1 + 1, submissions
    states = {job.number: job.state for job in slurm.jobs()}
    assert {states[number] for number in last.values()} == {"COMPLETED"}
    # On a busy machine a node may seem to be dead.
    again = [f"{job}: {states[number]}" for number, job in submissions if number != last[job]]
    if again:
        warnings.warn(f"submitted again: {again}\n{slurm.logs()}", stacklevel=1)
    laptop, cluster = arrays(here), arrays(directory)
    assert sorted(laptop) == sorted(cluster)
    assert [name for name, data in laptop.items() if cluster[name] != data] == []
    scores = "results/tiny/tested/scores.json"
    assert (here / scores).read_text() == (directory / scores).read_text()
    assert_nothing_is_left(slurm, directory)


def test_a_model_file_and_a_volume_give_the_segmentation_of_the_laptop_on_a_cluster(
    slurm, on_slurm, here, tmp_path
):
    shutil.copy(here / "results/tiny/model.zip", tmp_path)
    shutil.copytree(here / "results/volumes/tested.zarr/raw", tmp_path / "tissue.zarr")
    application = Application(
        tmp_path / "model.zip",
        [InputVolume(str(tmp_path / "tissue.zarr"))],
        settings={"execution": CONFIGURATION["execution"]},
        extensions=[here / "absolute.py"],
    )
    configuration = prepare_application(application, tmp_path / "out")
    run = on_slurm(tmp_path, "--snakefile", str(REPOSITORY / "Snakefile"), "--configfile", str(configuration))
    output = run.finish(1500)
    assert run.process.returncode == 0, output[-6000:]
    for image in ("prediction", "labels/segmentation"):
        laptop = digest_content(str(here / "results/tiny/tested.zarr" / image / "s0"))
        cluster = digest_content(str(tmp_path / "out/applied/tissue.zarr" / image / "s0"))
        assert laptop.files > 1
        assert laptop.to_json() == cluster.to_json()
    assert_nothing_is_left(slurm, tmp_path)


def test_a_canceled_shard_is_submitted_again_and_computes_only_missing_blocks(
    slurm, on_slurm, slow_prediction, undisturbed, tmp_path
):
    run, directory = disturbed(slurm, on_slurm, slow_prediction, tmp_path / "project")
    slurm.wait_for("finished blocks", lambda: len(recorded(directory)) >= 6)
    job = shard_jobs(slurm)[0]
    subprocess.run(["scancel", job.number], check=True)
    output = run.finish(900)
    assert run.process.returncode == 0, output[-6000:]
    assert f"SLURM-job '{job.number}' failed, SLURM status is: 'CANCELLED'" in output
    assert "Trying to restart job" in output
    # Each block once: what had been finished was not computed again.
    assert recorded(directory) == list(range(64))
    assert arrays(directory) == arrays(undisturbed)
    assert_nothing_is_left(slurm, directory)


def test_a_job_over_its_memory_limit_is_sent_again_with_more(
    slurm, on_slurm, slow_prediction, undisturbed, tmp_path
):
    directory = tmp_path / "project"
    shutil.copytree(slow_prediction, directory)
    values = yaml.safe_load((directory / "config.yaml").read_text())
    # Less than the processes of such a job hold; some attempts later it is enough.
    values["execution"]["memory_mb"] = {"predict": 600}
    (directory / "config.yaml").write_text(yaml.safe_dump(values))
    run = on_slurm(directory, *arguments("--retries", "6", "--", str(directory / PREDICTION)))
    output = run.finish(900)
    assert run.process.returncode == 0, output[-6000:]
    assert re.search(r"[Ee]xceeded (job )?memory limit", output)
    assert "mem_mb=600" in output and "mem_mb=900" in output
    assert "Trying to restart job" in output
    assert recorded(directory) == list(range(64))
    assert arrays(directory) == arrays(undisturbed)
    assert_nothing_is_left(slurm, directory)


def test_a_dead_node_costs_no_finished_block(slurm, on_slurm, slow_prediction, undisturbed, tmp_path):
    run, directory = disturbed(slurm, on_slurm, slow_prediction, tmp_path / "project")
    slurm.wait_for("finished blocks", lambda: len(recorded(directory)) >= 6)
    node = shard_jobs(slurm)[0].node
    lost = [job.number for job in shard_jobs(slurm) if job.node == node]
    slurm.script("kill-node", node.removeprefix("n"))
    try:
        output = run.finish(900)
    finally:
        slurm.restart_node(int(node.removeprefix("n")))
    assert run.process.returncode == 0, output[-6000:]
    for number in lost:
        assert f"SLURM-job '{number}' failed due to a node failure" in output
    assert recorded(directory) == list(range(64))
    assert arrays(directory) == arrays(undisturbed)
    assert_nothing_is_left(slurm, directory)


def test_jobs_that_outlive_their_snakemake_are_waited_for_and_nothing_is_computed_twice(
    slurm, on_slurm, slow_prediction, undisturbed, tmp_path
):
    run, directory = disturbed(slurm, on_slurm, slow_prediction, tmp_path / "project")
    slurm.wait_for("finished blocks", lambda: len(recorded(directory)) >= 6)
    run.process.kill()
    run.process.wait(timeout=60)
    orphans = [job.number for job in shard_jobs(slurm)]
    # Asleep, they keep what they hold, and leave their cores to the jobs of the new start.
    for number in orphans:
        subprocess.run(["scontrol", "suspend", number], check=True)
    again = on_slurm(directory, *arguments("--", str(directory / PREDICTION)))

    def is_reported() -> bool:
        logs = "".join(path.read_text() for path in directory.glob("results/logs/**/predict_shard*.log"))
        return any(
            f"another job that is still running (SLURM job {number}, " in logs
            and "waiting until it ends" in logs
            for number in orphans
        )

    slurm.wait_for("job that waits for another", is_reported)
    for number in orphans:
        subprocess.run(["scontrol", "resume", number], check=True)
    output = again.finish(900)
    assert again.process.returncode == 0, output[-6000:]
    assert {job.state for job in slurm.jobs() if job.number in orphans} == {"COMPLETED"}
    assert recorded(directory) == list(range(64))
    assert arrays(directory) == arrays(undisturbed)
    assert_nothing_is_left(slurm, directory)


def test_a_stage_with_gpus_gets_them_in_their_partition_and_no_other_job_does(
    slurm, on_slurm, trained, tmp_path
):
    directory = tmp_path / "project"
    shutil.copytree(trained, directory)
    execution = {**CONFIGURATION["execution"], "shards": 1, "gpus": {"predict": 1}}
    write_configuration(directory, execution=execution)
    more = ["--set-resources", "predict_shard:slurm_partition=gpu", "--", str(directory / PREDICTION)]
    before = {job.number for job in slurm.jobs()}
    run = on_slurm(directory, *arguments(*more))
    output = run.finish(900)
    assert run.process.returncode == 0, output[-6000:]
    jobs = {
        job.comment.partition("_wildcards")[0]: details_of(job.number)
        for job in slurm.jobs()
        if job.number not in before
    }
    assert set(jobs) == {"rule_predict_shard", "rule_predict_finish"}
    shard, finish = jobs["rule_predict_shard"], jobs["rule_predict_finish"]
    assert (shard["JobState"], shard["Partition"], shard["NodeList"]) == ("COMPLETED", "gpu", "n1")
    assert re.fullmatch("gres[:/]gpu[:=]1", shard["TresPerJob"])
    assert finish["JobState"] == "COMPLETED" and finish["Partition"] == "cpu"
    assert not [value for key, value in finish.items() if key.upper().startswith("TRES") and "gpu" in value]
    # SLURM hands the job the GPU that it may use, and the job passes it on to what it starts.
    (machine,) = json.loads(
        (directory / "results/machines/tiny/tested/predict_shard_0_of_1.json").read_text()
    )["machines"]
    assert machine["visible gpus"] == "0"


def details_of(number: str) -> dict[str, str]:
    """Record of a job in SLURM."""
    output = subprocess.run(["scontrol", "show", "job", number], capture_output=True, text=True, check=True)
    return dict(word.split("=", 1) for word in output.stdout.split() if "=" in word)
