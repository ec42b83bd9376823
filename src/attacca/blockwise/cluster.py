"""The Dask cluster that computes a job's blocks: processes of the job's own, or one that runs already."""

import logging
import os
import re
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psutil

from attacca.blockwise.memory import available_memory, format_gibibytes
from attacca.blockwise.worker_setup import PARENT_VARIABLE
from attacca.errors import ConfigurationError, ResourceError

logger = logging.getLogger("attacca.blockwise")

# What worker processes find in their environment from their first instruction on.
_ENVIRONMENT = {
    **dict.fromkeys(
        (
            "OMP_NUM_THREADS",
            "MKL_NUM_THREADS",
            "OPENBLAS_NUM_THREADS",
            "NUMEXPR_NUM_THREADS",
            "NUMBA_NUM_THREADS",
        ),
        "1",
    ),
    "DASK_LOGGING__DISTRIBUTED": "critical",
}
_SETTINGS = {
    # A worker that dies gives its blocks back at once: how often they are tried again is decided here, for
    # each block.
    "distributed.scheduler.allowed-failures": 0,
    # One block at a time for each worker; the next is not sent until a worker is free.
    "distributed.scheduler.worker-saturation": 1.0,
    "distributed.scheduler.work-stealing": False,
    # On a busy machine a worker may need longer than the default to come back; without it, the job would
    # wait.
    "distributed.deploy.lost-worker-timeout": "1 day",
    # Dask holds no data of ours that it could spill; only ending a process that takes too much helps.
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
    "distributed.worker.memory.terminate": 0.95,
    "distributed.worker.daemon": False,
    "distributed.comm.timeouts.connect": "60s",
    # A hundred looks a second at what a worker does, and memory that is given back after each tensor only to
    # be asked for again, cost a sixth of the time of a network.
    "distributed.worker.profile.enabled": False,
    "distributed.nanny.pre-spawn-environ": {},
    "distributed.admin.system-monitor.gil.enabled": False,
    "logging": {"distributed": "critical", "distributed.client": "critical"},
}
_START_LIMIT = 120
_ANSWER_LIMIT = 30


class WorkerDeaths(logging.Handler):
    """Hears from Dask's nannies why workers died; they say it in their log alone."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self._memory = False
        self._signal = ""

    def emit(self, record: logging.LogRecord) -> None:
        """Keep what a message says about a death."""
        message = record.getMessage()
        if "memory budget" in message:
            self._memory = True
        killed = re.search(r"was killed by signal (\d+)", message)
        if killed:
            self._signal = killed[1]

    def reason(self, limit: int | None) -> str:
        """What is known about the last death, which is then forgotten."""
        for _ in range(20):
            # A nanny's message may come a moment after the scheduler's.
            if self._memory or self._signal:
                break
            time.sleep(0.05)
        memory, signal_number = self._memory, self._signal
        self._memory, self._signal = False, ""
        if memory:
            size = f" of {format_gibibytes(limit)}" if limit else ""
            return f"it used more memory than its worker has{size}; use fewer workers or smaller blocks"
        if signal_number:
            meaning = "9: killed, often for lack of memory; 11: a crash"
            return f"its process was ended by signal {signal_number} ({meaning})"
        return "its process died (killed for lack of memory, or a crash in compiled code)"


@contextmanager
def local_cluster(num_workers: int, deaths: WorkerDeaths) -> Iterator[tuple[Any, int, Path]]:
    """Worker processes of this job, on the loopback interface.

    Yields a Dask client, the bytes of memory that a worker may use, and a directory that is removed at the
    end.

    Each has one thread, restarts when it dies, and ends with this process however that ends.
    """
    import dask
    from distributed import Client, LocalCluster

    limit = max(1 << 28, available_memory() // num_workers)
    with ExitStack() as stack:
        stack.enter_context(dask.config.set(_SETTINGS))
        stack.enter_context(_heard(deaths))
        stack.enter_context(_environment({**_ENVIRONMENT, PARENT_VARIABLE: str(os.getpid())}))
        stack.enter_context(_script_not_repeated())
        scratch = _scratch_directory()
        stack.callback(shutil.rmtree, scratch, ignore_errors=True)
        cluster = LocalCluster(
            n_workers=num_workers,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            scheduler_kwargs={"dashboard": False},
            worker_dashboard_address="127.0.0.1:0",
            silence_logs=False,
            local_directory=scratch,
            memory_limit=limit,
            preload=["attacca.blockwise.worker_setup"],
        )
        stack.callback(cluster.close, timeout=20)
        client = Client(cluster, set_as_default=False, timeout=60)
        stack.callback(client.close)
        yield client, limit, Path(scratch)


@contextmanager
def existing_cluster(address: str, timeout: float | None) -> Iterator[Any]:
    """A client of a scheduler that runs already.

    Raises:
        ResourceError: nobody answers there, or no worker comes.
        ConfigurationError: its workers cannot keep a time limit.
    """
    import dask
    from distributed import Client

    with ExitStack() as stack:
        stack.enter_context(dask.config.set({"logging": _SETTINGS["logging"]}))
        try:
            client = Client(address, set_as_default=False, timeout=_ANSWER_LIMIT)
        except (OSError, TimeoutError, ValueError) as error:
            raise ResourceError(
                f"no Dask scheduler answers at {address} (execution.scheduler_address): start one with "
                "'dask scheduler', "
                "or remove the setting to use processes of the job"
            ) from error
        stack.callback(client.close)
        try:
            client.wait_for_workers(1, timeout=_START_LIMIT)
        except TimeoutError as error:
            raise ResourceError(
                f"the Dask scheduler at {address} has no workers; start some with 'dask worker {address}'"
            ) from error
        if timeout is not None:
            for worker, info in client.scheduler_info(n_workers=-1)["workers"].items():
                if info["nthreads"] != 1 or not info["nanny"]:
                    raise ConfigurationError(
                        f"the worker {worker} has {info['nthreads']} threads and "
                        f"{'a' if info['nanny'] else 'no'} nanny; a "
                        "time limit for blocks needs one thread and a nanny: start it with 'dask worker "
                        "--nthreads 1'"
                    )
        yield client


def _scratch_directory() -> str:
    """A new directory for workers; those that killed jobs of this machine have left behind are removed."""
    prefix = f"attacca-workers-{socket.gethostname()}-"
    for path in Path(tempfile.gettempdir()).glob(f"{prefix}*"):
        owner = path.name.removeprefix(prefix).partition("-")[0]
        if owner.isdigit() and not psutil.pid_exists(int(owner)):
            shutil.rmtree(path, ignore_errors=True)
    return tempfile.mkdtemp(prefix=f"{prefix}{os.getpid()}-")


@contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    # Processes inherit the environment when they start, those that replace a dead worker too.
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        # Dask's nannies set variables of their own on top.
        os.environ.clear()
        os.environ.update(before)


@contextmanager
def _script_not_repeated() -> Iterator[None]:
    # A new process of Python runs the script of its parent once more, to find what it defines. Here nothing is
    # looked for there, and a script that does not say ``if __name__ == "__main__"`` would start itself again.
    main = sys.modules["__main__"]
    before = {name: getattr(main, name) for name in ("__spec__", "__file__") if hasattr(main, name)}
    main.__spec__ = None
    if "__file__" in before:
        del main.__file__
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(main, name, value)


@contextmanager
def _heard(deaths: WorkerDeaths) -> Iterator[None]:
    # Dask prints warnings about every worker that dies; what they mean for a block is said by the job itself.
    top = logging.getLogger("distributed")
    nanny = logging.getLogger("distributed.nanny")
    handlers, propagate, level = list(top.handlers), top.propagate, nanny.level
    top.handlers, top.propagate = [logging.NullHandler()], False
    nanny.addHandler(deaths)
    nanny.setLevel(logging.INFO)
    try:
        yield
    finally:
        nanny.removeHandler(deaths)
        nanny.setLevel(level)
        top.handlers, top.propagate = handlers, propagate
