"""Batches prepared in the background, in order, by processes that end with their parent.

A batch is a function of the job and its iteration, so that neither the number of workers nor a worker that
died changes what the network sees. Arrays come through memory that both processes map, not through pipes.
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
    """An iterator over the batches of the iterations ``start`` to ``stop`` (not included).

    Args:
        spec: what samples are.
        start, stop: iterations.
        workers: processes; 0 prepares each batch when it is asked for.
        prefetch: batches that each worker prepares ahead.
        rank, ranks: this process and the number of processes that train together.

    Raises:
        TrainingError: a batch cannot be made, or a worker died again and again.
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
            batch = self._pipeline.batch(iteration, self._rank, self._ranks)
        else:
            batch = self._receive(iteration)
        self.next_iteration += 1
        self._request_more()
        return batch

    def _worker_of(self, iteration: int) -> int:
        return iteration % len(self._workers)

    def _request_more(self) -> None:
        if self._pipeline is not None:
            return
        ahead = self._prefetch * len(self._workers)
        while self._requested < min(self.stop, self.next_iteration + ahead):
            self._workers[self._worker_of(self._requested)].request(self._requested)
            self._requested += 1

    def _receive(self, iteration: int) -> Batch:
        while True:
            worker = self._workers[self._worker_of(iteration)]
            batch = worker.receive(iteration)
            if batch is not None:
                return batch
            status = worker.close()
            self._deaths[iteration] = self._deaths.get(iteration, 0) + 1
            if self._deaths[iteration] >= _MAX_DEATHS:
                raise TrainingError(
                    f"the process that prepares batches died {_MAX_DEATHS} times at iteration {iteration} "
                    f"({status}): "
                    "if the machine is short of memory, use fewer training.loader_workers or smaller samples"
                )
            fresh = _Worker(self.spec, self._rank, self._ranks)
            for number in worker.outstanding:
                fresh.request(number)
            self._workers[self._worker_of(iteration)] = fresh

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
    """One loader process, and the iterations that it still owes."""

    def __init__(self, spec: SampleSpec, rank: int, ranks: int) -> None:
        self.outstanding: deque[int] = deque()
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        environment = dict(os.environ)
        for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
            environment[name] = "1"
        package = str(Path(__file__).resolve().parents[2])
        environment["PYTHONPATH"] = os.pathsep.join([package, *filter(None, [environment.get("PYTHONPATH")])])
        command = [
            sys.executable,
            "-m",
            "attacca.training.loader_worker",
            str(theirs.fileno()),
            str(os.getpid()),
        ]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, pass_fds=[theirs.fileno()], env=environment
        )
        theirs.close()
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            pickle.dump((spec, rank, ranks), self.process.stdin)
            self.process.stdin.close()

    def request(self, iteration: int) -> None:
        self.outstanding.append(iteration)
        with contextlib.suppress(OSError):  # it died; receiving says so
            self._socket.send(REQUEST.pack(iteration))

    def receive(self, iteration: int) -> Batch | None:
        """The batch, or None if the process has ended."""
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
        """End the process; returns how it ended."""
        self._socket.close()
        alive = self.process.poll() is None
        if alive:
            try:
                # It ends by itself when the socket is closed, unless it is in the middle of something.
                self.process.wait(timeout=0.2)
            except subprocess.TimeoutExpired:
                self.process.kill()
        code = self.process.wait()
        return f"signal {-code}" if code < 0 else f"exit code {code}"


def _map_batch(descriptor: int, layout: list[tuple[str, str, tuple[int, ...], int]]) -> Batch:
    """Arrays in the shared memory behind ``descriptor``; it is freed with the last of them."""
    size = os.fstat(descriptor).st_size
    memory = mmap.mmap(descriptor, size)
    os.close(descriptor)
    return {
        name: np.frombuffer(memory, dtype=dtype, count=int(np.prod(shape)), offset=offset).reshape(shape)
        for name, dtype, shape, offset in layout
    }
