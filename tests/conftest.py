"""Fixtures for tests of several rooms.

Most tests start from ``project``: a small configuration and its results, whose manifests, plans and ledgers are written
without computing anything. ``processes`` starts processes that can be killed and counted, ``warm_python`` starts
workflows quickly (see ``warm_python.py``), ``object_store`` and ``bucket`` run an S3 server on this machine, and
``build_once`` shares expensive results between the workers of pytest-xdist.
"""

import fcntl
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import psutil
import pytest
import yaml
import zarr
from funlib.geometry import Roi

from attacca.atomic import write_json
from attacca.blockwise import BlockGrid, Ledger
from attacca.config.load import load_configuration
from attacca.jobs.stage import StageInstance
from attacca.manifest import Manifest, read_manifest
from attacca.stages.provenance import PROVENANCE
from attacca.stages.registry import STAGES
from attacca.workflow.workflow import Workflow
from local_servers import find_free_port, is_listening, run_server
from warm_python import WarmPython

MARK = "ATTACCA_TEST_MARK"
"""Environment variable by which ``MarkedProcesses`` recognizes the processes of one test."""

LONG_FILES = (
    "slurm/test_workflow_on_slurm.py",
    "workflow/test_example_tasks.py",
    "workflow/test_killed_workflow.py",
    "workflow/test_small_workflow.py",
    "workflow/test_real_data.py",
    "blockwise/test_workers.py",
    "workflow/test_user_errors.py",
    "training/test_kill_and_resume.py",
    "workflow/test_awkward_volumes.py",
    "workflow/test_rerun_matrix.py",
    "workflow/test_changed_settings.py",
    "workflow/test_workflow_on_object_store.py",
    "prediction/test_killed_jobs.py",
    "cli/test_reproduce_workflow.py",
    "blockwise/test_existing_dask_cluster.py",
    "volumes/test_damaged_files.py",
    "segmentation/test_block_invariance.py",
    "blockwise/test_segment_blockwise.py",
    "training/test_batch_loader.py",
)
"""Test files with the longest run time, in descending order (``pytest --durations=0``). They start first, so that no
worker of pytest-xdist is idle at the end while another runs a long file."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort tests so that those in ``LONG_FILES`` start first; pytest calls this function after collection."""
    ranks = {Path(__file__).parent / name: rank for rank, name in enumerate(LONG_FILES)}
    items.sort(key=lambda item: ranks.get(item.path, len(ranks)))


def kill(process: psutil.Process) -> bool:
    """Kill a process with SIGKILL; return whether it still existed."""
    try:
        process.kill()
    except psutil.NoSuchProcess:
        return False
    return True


class MarkedProcesses:
    """Starts processes with a mark in their environment, and finds all processes with this mark.

    Children inherit the mark, so that workers of a killed parent are found, too.
    """

    def __init__(self) -> None:
        self.mark = {MARK: uuid.uuid4().hex}
        self.environment = {**os.environ, **self.mark, "OMP_NUM_THREADS": "1"}

    def start(self, *command: str | Path, **options: object) -> subprocess.Popen:
        """Start the Python interpreter with the arguments ``command``; ``options`` are those of ``Popen``."""
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "env": self.environment, **options}
        return subprocess.Popen(
            [sys.executable, *map(str, command)],
            text=True,
            # Background jobs of a shell ignore Ctrl-C, and so would their children.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
            **options,
        )

    def alive(self) -> list[psutil.Process]:
        """Return all running processes with the mark."""
        found = []
        for process in psutil.process_iter():
            try:
                if (
                    process.environ().get(MARK) == self.mark[MARK]
                    and process.status() != psutil.STATUS_ZOMBIE
                ):
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def kill_one(self, victims: list[psutil.Process], draws: random.Random) -> bool:
        """Kill a random one of ``victims``; return whether it still existed."""
        return bool(victims) and kill(draws.choice(victims))

    def none_left(self, within: float = 15.0) -> bool:
        """Return whether all processes with the mark end within ``within`` seconds."""
        end = time.monotonic() + within
        while self.alive():
            if time.monotonic() > end:
                return False
            time.sleep(0.1)
        return True


@pytest.fixture
def processes() -> Iterator[MarkedProcesses]:
    """Marked processes, killed at the end of the test."""
    marked = MarkedProcesses()
    yield marked
    for process in marked.alive():
        kill(process)


@pytest.fixture
def wait_until() -> Callable[..., None]:
    """``wait_until(condition, within=60)``: wait until ``condition()`` is true; fail after ``within`` seconds."""

    def wait(condition: Callable[[], object], within: float = 60.0) -> None:
        end = time.monotonic() + within
        while not condition():
            assert time.monotonic() < end, "it did not happen in time"
            time.sleep(0.02)

    return wait


@pytest.fixture
def scheduler(
    tmp_path: Path, processes: MarkedProcesses, wait_until: Callable[..., None]
) -> Callable[..., str]:
    """``scheduler(*options of the workers, modules=DIRECTORY)``: starts a Dask scheduler and two workers; returns the address."""

    def start(*options: str, modules: str = "") -> str:
        file = tmp_path / "scheduler.json"
        common = ["--scheduler-file", file]
        path = [modules, os.environ.get("PYTHONPATH", "")]
        processes.environment["PYTHONPATH"] = os.pathsep.join(filter(None, path))
        processes.start(
            "-m", "distributed.cli.dask_scheduler", *common, "--host", "127.0.0.1", "--no-dashboard"
        )
        wait_until(file.exists)
        for name in ("one", "two"):
            processes.start(
                "-m",
                "distributed.cli.dask_worker",
                *common,
                *("--host", "127.0.0.1", "--no-dashboard", "--name", name, "--local-directory", tmp_path),
                *options,
            )
        return str(json.loads(file.read_text())["address"])

    return start


@pytest.fixture(scope="session")
def build_once(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Callable[[Path], None]], Path]:
    """``build_once(name, build)``: a directory that ``build(directory)`` fills once, for all workers of pytest-xdist.

    Tests read this directory; a test that changes files works on a copy.
    """
    root = tmp_path_factory.getbasetemp()
    shared = (root.parent if "PYTEST_XDIST_WORKER" in os.environ else root) / "shared"
    shared.mkdir(exist_ok=True)

    def make(name: str, build: Callable[[Path], None]) -> Path:
        directory, finished = shared / name, shared / f"{name}.finished"
        with (shared / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not finished.exists():
                shutil.rmtree(directory, ignore_errors=True)
                directory.mkdir()
                build(directory)
                finished.touch()
        return directory

    return make


@pytest.fixture(scope="session")
def warm_python() -> Iterator[Callable[[], WarmPython]]:
    """``warm_python()``: the server of ``warm_python.py``, started at the first call and shared by all tests."""
    started: list[WarmPython] = []
    directory = tempfile.TemporaryDirectory(prefix="attacca-warm-")

    def start() -> WarmPython:
        if not started:
            started.append(WarmPython(Path(directory.name), Path(__file__).parents[1] / "src"))
        return started[0]

    with directory:
        yield start
        for warm in started:
            warm.close()


@pytest.fixture(scope="session")
def object_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a real S3 server on the loopback interface."""

    def find_address(output: str) -> str | None:
        return next((word for word in output.split() if word.startswith("http://127.0.0.1:")), None)

    log = tmp_path_factory.mktemp("object-store") / "server.log"
    with run_server(["-u", "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"], log, find_address) as address:
        yield address


@pytest.fixture
def bucket(object_store: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """URL of an empty bucket; the environment variables of AWS point to its server."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", object_store)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    # Do not reuse a connection that was opened with another environment.
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    name = f"volumes-{uuid.uuid4().hex[:12]}"
    urllib.request.urlopen(urllib.request.Request(f"{object_store}/{name}", method="PUT"), timeout=60).close()
    return f"s3://{name}"


@pytest.fixture(scope="session")
def google_cloud_storage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of an emulator of Google Cloud Storage on the loopback interface."""
    port = find_free_port()
    code = "import sys; from gcp_storage_emulator.server import create_server as create; "
    code += "create('127.0.0.1', int(sys.argv[1]), True, 'volumes').run()"
    log = tmp_path_factory.mktemp("google-cloud-storage") / "server.log"

    def find_address(_: str) -> str | None:
        return f"http://127.0.0.1:{port}" if is_listening(port) else None

    with run_server(["-c", code, str(port)], log, find_address) as address:
        yield address


@pytest.fixture
def google_bucket(google_cloud_storage: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """URL of an empty folder of a bucket; gcsfs and tensorstore ask the emulator, without credentials."""
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", google_cloud_storage)
    monkeypatch.setenv("TENSORSTORE_GCS_HTTP_URL", google_cloud_storage)
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    # The emulator does not know the kinds of buckets that gcsfs would ask for.
    monkeypatch.setenv("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")
    fsspec.get_filesystem_class("gs").clear_instance_cache()
    return f"gs://volumes/{uuid.uuid4().hex[:12]}"


_STAGES = {stage.name: stage for stage in STAGES}

NEIGHBORHOOD = [[1, 0, 0], [0, 1, 0], [0, 0, 1]]


def configuration_values(**execution: Any) -> dict[str, Any]:
    """Return the configuration of ``project``: a run ``first`` on three small synthetic volumes.

    Args:
        execution: keys of the section ``execution``.
    """
    return {
        "results": "results",
        "volumes": {
            name: {"synthetic": {"shape": [48, 48, 48], "seed": seed}}
            for seed, name in enumerate(("cube-a", "cube-b", "cube-c"))
        },
        "runs": {
            "first": {
                "task": {"type": "affinities", "neighborhood": NEIGHBORHOOD},
                "architecture": {"input_shape": [32, 32, 32], "num_fmaps": 4},
                "training": {"iterations": 10},
                "volumes": {"train": ["cube-a"], "validate": ["cube-b"], "test": ["cube-c"]},
                "prediction": {"block_size": [32, 32, 32]},
                "segmentation": {"block_size": [32, 32, 32]},
            }
        },
        "execution": execution,
    }


class Project:
    """A configuration file and its results, which are written without computing them.

    Args:
        directory: directory of ``config.yaml`` and ``results``.
        values: content of ``config.yaml``.
    """

    def __init__(self, directory: Path, values: dict[str, Any]) -> None:
        self.path = directory / "config.yaml"
        self.results = directory / "results"
        self.write(values)

    def write(self, values: dict[str, Any]) -> None:
        """Write the configuration and record a start of the workflow with it."""
        self.path.write_text(yaml.safe_dump(values, sort_keys=False))
        self.workflow = Workflow(load_configuration(self.path), (self.path, {}))
        self.workflow.record_start()

    def instance(self, stage: str, run: str = "", volume: str = "") -> StageInstance:
        """Return the instance of a stage for a run, a volume, or both."""
        return StageInstance(_STAGES[stage], run, volume)

    def key(self, instance: StageInstance) -> Manifest:
        """Return the manifest, without a result, that the stage would write now."""
        section = json.loads(self.workflow.section(instance.stage, instance.run, instance.volume))
        inputs = {
            name: read_manifest(above.manifest(self.workflow.layout)).fingerprint
            for name, above in instance.inputs(self.workflow.configuration).items()
        }
        return Manifest(instance.stage.name, 1, section, inputs)

    def finish(self, *instances: StageInstance) -> None:
        """Write the manifests of stages, and the plans of those with blocks."""
        for instance in instances:
            key = self.key(instance)
            if instance.stage.is_blockwise:
                self.plan(instance)
            if instance.stage.name == "agglomerate":
                place = self.workflow.layout.look_up_table(instance.run, instance.volume)
                place.parent.mkdir(parents=True, exist_ok=True)
                place.touch()
                self.workflow.layout.look_up_table_leaves(instance.run, instance.volume).touch()
            if instance.stage.name == "bundle":
                self.workflow.layout.model_file(instance.run).touch()
            if instance.stage.name == "objects":
                self.workflow.layout.object_table(instance.run, instance.volume).touch()
            if instance.stage.name == "train":
                checkpoints = self.workflow.layout.training(instance.run) / "checkpoints"
                checkpoints.mkdir(parents=True, exist_ok=True)
                (checkpoints / "iteration_00000010.pt").touch()
            key.write(instance.manifest(self.workflow.layout))

    def finish_until(self, last: StageInstance) -> None:
        """Finish all stages before ``last``, in the order of the workflow."""
        for instance in self.workflow.instances():
            if instance == last:
                return
            self.finish(instance)

    def plan(self, instance: StageInstance) -> BlockGrid:
        """Create a stage's arrays and its plan: 27 blocks of 16 x 16 x 16 voxels."""
        grid = BlockGrid(Roi((0, 0, 0), (48, 48, 48)), (16, 16, 16), (1, 1, 1))
        for directory in instance.arrays(self.workflow.layout):
            Path(directory).parent.mkdir(parents=True, exist_ok=True)
            if not Path(directory, "zarr.json").exists():
                zarr.create_array(directory, shape=(48, 48, 48), chunks=(16, 16, 16), dtype=np.uint8)
        plan = {"blocks": len(grid), "grid": json.loads(grid.to_json())}
        write_json(instance.plan(self.workflow.layout), {**self.key(instance).key_parts(), **plan})
        return grid

    def ledger(self, instance: StageInstance) -> Ledger:
        """Return the ledger that the stage would write now."""
        grid = self.plan(instance)
        directory = instance.arrays(self.workflow.layout)[0]
        return Ledger(directory, self.key(instance).key_parts(), len(grid))


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A new project, without results; predictions have three shards, other stages one."""
    return Project(tmp_path, configuration_values(shards={"predict": 3, "default": 1}))


@pytest.fixture
def values() -> Callable[..., dict[str, Any]]:
    """``values(**execution)``: the configuration of ``project`` with these execution settings."""
    return configuration_values


@pytest.fixture
def provenance(project: Any) -> Callable[..., dict[str, Any]]:
    """``provenance(seed)``: content of a ``provenance.json``; from training on, its digests depend on the seed."""

    def make(seed: int = 0) -> dict[str, Any]:
        section = json.loads(project.workflow.section(PROVENANCE, "first"))
        section["run"]["seed"] = seed
        found: dict[str, Any] = {}
        late = False
        for instance in project.workflow.instances():
            late = late or instance.stage.name == "train"
            details = {"fingerprint": "f", "checkpoint digest": f"{instance.label} {seed if late else 0}"}
            found.setdefault(instance.stage.name, {})[instance.volume or instance.run] = details
        return {
            "configuration": {"runs": {"first": section["run"]}, "volumes": section["volumes"]},
            "outputs": found,
        }

    return make
