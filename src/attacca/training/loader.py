"""Batches that are prepared in the background, in order, by processes that end with their parent.

A batch is a function of the job and the iteration: neither the number of workers nor the death of a worker changes the
batches. Arrays are passed through shared memory, not through pipes.
"""

import contextlib
import mmap
import os
import pickle
import socket
import struct
import subprocess
import sys
from collections import deque
from pathlib import Path
from typing import Any

import numpy as np

from attacca.errors import TrainingError
from attacca.training.pipeline import Batch, SamplePipeline, SampleSpec

REQUEST = struct.Struct("<q")
MESSAGE_BYTES = 64 * 1024
_MAX_DEATHS = 3


class BatchLoader:
    """Iterator over the batches of the iterations ``start`` to ``stop`` (excluded).

    Args:
        spec: specification of the samples.
        start, stop: iterations.
        workers: number of processes; with 0, each batch is prepared when it is requested.
        prefetch: number of batches that each worker prepares ahead.
        rank, ranks: number of this process, and number of all processes that train together.

    Raises:
        TrainingError: a batch cannot be prepared, or a worker died three times at the same iteration.
    """

    def __init__(
        self,
        spec: SampleSpec,
        start: int,
        stop: int,
        workers: int,
        prefetch: int = 2,
        rank: int = 0,
        ranks: int = 1,
    ) -> None:
        self.spec = spec
        self.next_iteration = start
        self.stop = stop
        self._requested = start
        self._prefetch = prefetch
        self._rank, self._ranks = rank, ranks
        self._deaths: dict[int, int] = {}
        self._pipeline = SamplePipeline(spec) if workers == 0 else None
        self._workers = [_Worker(spec, rank, ranks) for _ in range(workers)]
        self._request_more()

    def __iter__(self) -> "BatchLoader":
        return self

    def __next__(self) -> Batch:
        iteration = self.next_iteration
        if iteration >= self.stop:
            raise StopIteration
        if self._pipeline is not None:
            batch = self._pipeline.create_batch(iteration, self._rank, self._ranks)
        else:
            batch = self._receive(iteration)
        self.next_iteration += 1
        self._request_more()
        return batch

    def _find_worker(self, iteration: int) -> int:
        return iteration % len(self._workers)

    def _request_more(self) -> None:
        if self._pipeline is not None:
            return
        ahead = self._prefetch * len(self._workers)
        while self._requested < min(self.stop, self.next_iteration + ahead):
            self._workers[self._find_worker(self._requested)].request(self._requested)
            self._requested += 1

    def _receive(self, iteration: int) -> Batch:
        while True:
            worker = self._workers[self._find_worker(iteration)]
            batch = worker.receive(iteration)
            if batch is not None:
                return batch
            status = worker.close()
            self._deaths[iteration] = self._deaths.get(iteration, 0) + 1
            if self._deaths[iteration] >= _MAX_DEATHS:
                raise TrainingError(
                    f"the process that prepares batches died {_MAX_DEATHS} times at iteration {iteration} ({status}): "
                    "if the machine is short of memory, use fewer training.loader_workers or smaller samples"
                )
            fresh = _Worker(self.spec, self._rank, self._ranks)
            for number in worker.outstanding:
                fresh.request(number)
            self._workers[self._find_worker(iteration)] = fresh

    def close(self) -> None:
        """End all workers."""
        for worker in self._workers:
            worker.close()
        if self._pipeline is not None:
            self._pipeline.close()

    def __enter__(self) -> "BatchLoader":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()


class _Worker:
    """Loader process, and the iterations that it has not delivered yet."""

    def __init__(self, spec: SampleSpec, rank: int, ranks: int) -> None:
        self.outstanding: deque[int] = deque()
        self._socket, worker_socket = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        environment = dict(os.environ)
        for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
            environment[name] = "1"
        package = str(Path(__file__).resolve().parents[2])
        environment["PYTHONPATH"] = os.pathsep.join([package, *filter(None, [environment.get("PYTHONPATH")])])
        command = [
            sys.executable,
            "-m",
            "attacca.training.loader_worker",
            str(worker_socket.fileno()),
            str(os.getpid()),
        ]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, pass_fds=[worker_socket.fileno()], env=environment
        )
        worker_socket.close()
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            pickle.dump((spec, rank, ranks), self.process.stdin)
            self.process.stdin.close()

    def request(self, iteration: int) -> None:
        self.outstanding.append(iteration)
        with contextlib.suppress(OSError):  # the process has ended; ``receive`` reports it
            self._socket.send(REQUEST.pack(iteration))

    def receive(self, iteration: int) -> Batch | None:
        """Return the batch, or None if the process has ended."""
        try:
            message, descriptors, _, _ = socket.recv_fds(self._socket, MESSAGE_BYTES, 1)
        except ConnectionError:
            return None
        if not message:
            return None
        kind, content = pickle.loads(message)
        if kind == "error":
            error, text = content
            raise error(text)
        assert self.outstanding.popleft() == iteration
        return _map_batch(descriptors[0], content)

    def close(self) -> str:
        """End the process; return its signal or exit code."""
        self._socket.close()
        if self.process.poll() is None:
            try:
                # An idle process ends when its socket is closed.
                self.process.wait(timeout=0.2)
            except subprocess.TimeoutExpired:
                self.process.kill()
        code = self.process.wait()
        return f"signal {-code}" if code < 0 else f"exit code {code}"


def _map_batch(descriptor: int, layout: list[tuple[str, str, tuple[int, ...], int]]) -> Batch:
    """Return the arrays in the shared memory of ``descriptor``; it is freed with the last of them."""
    size = os.fstat(descriptor).st_size
    memory = mmap.mmap(descriptor, size)
    os.close(descriptor)
    return {
        name: np.frombuffer(memory, dtype=dtype, count=int(np.prod(shape)), offset=offset).reshape(shape)
        for name, dtype, shape, offset in layout
    }
