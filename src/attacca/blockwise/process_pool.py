"""Worker processes of a job.

1. A worker is a new Python process, connected to the job by a pair of sockets. It computes one group at a time.
2. A worker sends the outcome of each block before it begins the next block. The socket keeps what was sent, so that no
   finished block is lost when the worker is killed.
3. The end of the connection means that the worker died; its exit status is the cause. A new worker takes its place.
4. The job ends workers that use more memory than their share. Workers end with the job, however the job ends.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from multiprocessing import Pipe
from multiprocessing import connection as connections
from typing import Any

import cloudpickle
import psutil

from attacca.blockwise.grid import Block, BlockGrid
from attacca.blockwise.memory import available_memory, format_gibibytes
from attacca.blockwise.outcome import Outcome
from attacca.blockwise.pool import OpeningError, PoolReport
from attacca.blockwise.worker import Message
from attacca.errors import ResourceError

_PROGRAM = "from attacca.blockwise.worker import run_worker; run_worker({handle}, {parent})"
# Each worker computes with one thread.
_ENVIRONMENT = dict.fromkeys(
    (
        "OMP_NUM_THREADS",
        "MKL_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "NUMEXPR_NUM_THREADS",
        "NUMBA_NUM_THREADS",
    ),
    "1",
)
_LEAST_MEMORY = 1 << 28
_MEMORY_FRACTION = 0.95
# Polling interval of the memory of the workers in seconds.
_LOOK_SECONDS = 0.1
# Seconds in which an idle worker must close its block function and end.
_CLOSE_SECONDS = 20.0
# After this many workers in a row that died before their first block, the job gives up.
_MOST_FAILED_STARTS = 5


class ProcessPool:
    """A pool of worker processes; see ``attacca.blockwise.pool.Pool``.

    Args:
        function: block function; it is pickled for the workers.
        grid: the blocks.
        num_workers: number of processes.
        timeout: seconds per block, after which its process is ended; None for no limit.
    """

    def __init__(
        self, function: Callable[[Block], Any], grid: BlockGrid, num_workers: int, timeout: float | None
    ) -> None:
        self.capacity = num_workers
        self._timeout = timeout
        self._payload = cloudpickle.dumps((function, grid, timeout))
        self._memory_limit = max(_LEAST_MEMORY, available_memory() // num_workers)
        self._workers: list[_Worker] = []
        self._failed_starts = 0
        self._looked = 0.0

    def __enter__(self) -> "ProcessPool":
        return self

    def __exit__(self, kind: object, *details: object) -> None:
        for worker in self._workers:
            if kind is None and worker.is_idle:
                with contextlib.suppress(OSError):
                    worker.connection.send(None)
            else:
                worker.process.kill()
        end = time.monotonic() + _CLOSE_SECONDS
        for worker in self._workers:
            worker.close(end - time.monotonic())

    @property
    def has_room(self) -> bool:
        """True if a worker is idle."""
        return any(worker.is_idle for worker in self._workers)

    @property
    def is_busy(self) -> bool:
        """True if a group is being computed."""
        return any(worker.group for worker in self._workers)

    def submit(self, indices: list[int]) -> None:
        """Have an idle worker compute the blocks of a group."""
        worker = next(worker for worker in self._workers if worker.is_idle)
        worker.is_idle, worker.group, worker.begun = False, tuple(indices), None
        # If the worker has died, the end of its connection is found by wait().
        with contextlib.suppress(OSError):
            worker.connection.send(indices)

    def wait(self) -> list[PoolReport]:
        """Replace dead workers and wait for reports of the others, at most 0.1 s.

        Raises:
            BlocksFailedError, AttaccaError: the block function could not be opened.
            ResourceError: the workers die before their first block.
        """
        while len(self._workers) < self.capacity:
            self._workers.append(_Worker())
        ready = connections.wait([worker.connection for worker in self._workers], _LOOK_SECONDS)
        self._end_large_workers()
        reports = []
        for worker in list(self._workers):
            # A process that the worker started may keep the connection open.
            has_ended = worker.process.poll() is not None
            if worker.connection in ready or has_ended:
                reports.append(self._read_messages(worker, has_ended))
        return reports

    def _read_messages(self, worker: "_Worker", has_ended: bool) -> PoolReport:
        outcomes: list[Outcome] = []
        try:
            while worker.connection.poll():
                message = worker.connection.recv()
                if isinstance(message, Outcome):
                    outcomes.append(message)
                elif isinstance(message, OpeningError):
                    raise message.to_error()
                elif message is Message.STARTED:
                    worker.connection.send_bytes(self._payload)
                elif message is Message.BEGUN:
                    worker.begun = time.monotonic()
                else:
                    worker.is_idle, worker.has_opened, worker.group = True, True, ()
                    self._failed_starts = 0
        except (EOFError, ConnectionError):
            has_ended = True
        return self._remove_worker(worker, outcomes) if has_ended else PoolReport(outcomes)

    def _remove_worker(self, worker: "_Worker", outcomes: list[Outcome]) -> PoolReport:
        self._workers.remove(worker)
        worker.close(_CLOSE_SECONDS)
        cause = self._describe_death(worker)
        if not worker.has_opened:
            self._failed_starts += 1
            if self._failed_starts >= _MOST_FAILED_STARTS:
                raise ResourceError(
                    f"{_MOST_FAILED_STARTS} worker processes in a row died before their first block; the last: {cause}",
                    fix="use fewer workers, or more memory per job",
                )
        if worker.begun is None:
            return PoolReport(outcomes, worker.group)
        return PoolReport(outcomes, worker.group, cause, time.monotonic() - worker.begun)

    def _describe_death(self, worker: "_Worker") -> str:
        code = worker.process.returncode
        if worker.is_too_large:
            size = format_gibibytes(self._memory_limit)
            return f"it used more memory than its worker has of {size}; use fewer workers or smaller blocks"
        if code == -signal.SIGALRM:
            return f"took longer than the time limit of {self._timeout:g} s, and its process was ended"
        if code < 0:
            meaning = "9: killed, often for lack of memory; 11: a crash"
            return f"its process was ended by signal {-code} ({meaning})"
        return f"its process ended with exit code {code}"

    def _end_large_workers(self) -> None:
        if time.monotonic() - self._looked < _LOOK_SECONDS:
            return
        self._looked = time.monotonic()
        for worker in self._workers:
            with contextlib.suppress(psutil.Error):
                if worker.monitor.memory_info().rss > _MEMORY_FRACTION * self._memory_limit:
                    worker.is_too_large = True
                    worker.process.kill()


class _Worker:
    """A worker process as the job sees it.

    Attributes:
        group: numbers of the blocks that it computes; empty without a group.
        begun: monotonic time at which it began the group.
        is_idle: it has opened the block function and has no group.
        has_opened: it has opened the block function.
        is_too_large: the job killed it because of its memory.
    """

    def __init__(self) -> None:
        path = os.pathsep.join(directory or os.getcwd() for directory in sys.path)
        self.connection, remote = Pipe()
        with remote:
            handle = remote.fileno()
            self.process = subprocess.Popen(
                [sys.executable, "-c", _PROGRAM.format(handle=handle, parent=os.getpid())],
                env={**os.environ, **_ENVIRONMENT, "PYTHONPATH": path},
                pass_fds=[handle],
                stdin=subprocess.DEVNULL,
            )
        self.monitor = psutil.Process(self.process.pid)
        self.group: tuple[int, ...] = ()
        self.begun: float | None = None
        self.is_idle = self.has_opened = self.is_too_large = False

    def close(self, seconds: float) -> None:
        """Wait for the end of the process, kill it after some seconds, and close the connection."""
        try:
            self.process.wait(max(0.0, seconds))
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.connection.close()
