"""Sends blocks to the workers of a Dask cluster in groups, and outlives whatever happens to them.

1. Blocks are sent in groups of about a second of work, one group for each worker at a time, so that the
   scheduler's milliseconds for each task do not count.
2. A worker reports finished blocks while its group still runs; they are recorded at once.
3. When a worker dies, the blocks of its group that were not reported are sent again one by one. A block that
   is alone when its worker dies is to blame, and is tried again as often as one that raised.
4. Dask computes a finished task again when its worker dies before anyone took the result. A group therefore
   lays claim to its number by making a file, and a second claim is refused. Into that file the worker writes
   what it has
   finished, before it goes on: whenever it is killed, no finished block is computed twice.
"""

import os
import pickle
import queue
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from attacca.blockwise.cluster import WorkerDeaths, existing_cluster, local_cluster
from attacca.blockwise.grid import Block, BlockGrid
from attacca.blockwise.ledger import Ledger
from attacca.blockwise.outcome import Outcome, close_function, compute, open_function, opening_alarm
from attacca.blockwise.tally import Tally
from attacca.errors import AttaccaError, BlocksFailedError, ResourceError, summarize_error

# Seconds of work in a group; streaming functions read ahead and write behind within a group only.
_GROUP_SECONDS = 1.0
_STREAM_SECONDS = 20.0
_LARGEST_GROUP = 2000
# Seconds between two reports of a worker whose blocks are quick.
_REPORT_SECONDS = 0.1
# Blocks that take fewer seconds are reported together.
_QUICK = 0.003
# Seconds that the last report of a finished group may be under way.
_REPORT_LIMIT = 30.0
# Seconds without any worker before the job gives up.
_PATIENCE = 300.0


class OpeningError(Exception):
    """``open()`` of a block function raised in a worker: message, traceback, and the pickled exception or
    None."""


class ClaimedError(Exception):
    """A group was begun before: Dask repeats it because its worker died."""


@dataclass(frozen=True)
class _Group:
    indices: list[int]
    future: Any
    sent: float


def run_on_cluster(
    function: Callable[[Block], Any],
    grid: BlockGrid,
    missing: np.ndarray,
    tally: Tally,
    num_workers: int,
    timeout: float | None,
    scheduler_address: str | None,
    ledger: Ledger | None,
) -> None:
    """Compute blocks on processes of this job, or on those of a running scheduler; see ``run_blocks``."""
    import cloudpickle

    streams = hasattr(function, "stream")
    if scheduler_address is None:
        payload = cloudpickle.dumps((function, grid, None))
        deaths = WorkerDeaths()
        with local_cluster(num_workers, deaths) as (client, limit, scratch):
            work = _Work(payload, timeout, str(scratch))
            _Dispatcher(
                client, work, missing, tally, streams, lambda: num_workers, lambda: deaths.reason(limit)
            ).run()
    else:
        # Its scheduler repeats groups as it likes, on machines of its own: they ask the ledger what is done.
        payload = cloudpickle.dumps((function, grid, ledger))
        with existing_cluster(scheduler_address, timeout) as client:
            work = _Work(payload, timeout, None)
            reason = "its worker died"
            _Dispatcher(
                client, work, missing, tally, streams, lambda: sum(client.nthreads().values()), lambda: reason
            ).run()


@dataclass(frozen=True)
class _Work:
    """What all groups share: the pickled function, the time limit of a block, and where claims are laid."""

    payload: bytes
    timeout: float | None
    claims: str | None


class _Dispatcher:
    def __init__(
        self,
        client: Any,
        work: _Work,
        missing: np.ndarray,
        tally: Tally,
        streams: bool,
        workers: Callable[[], int],
        death_reason: Callable[[], str],
    ) -> None:
        self._client = client
        self._work = work
        self._missing = missing
        self._next = 0
        self._single: deque[int] = deque()
        self._tally = tally
        self._seconds = _STREAM_SECONDS if streams else _GROUP_SECONDS
        self._workers = workers
        self._capacity = max(1, workers())
        self._death_reason = death_reason
        self._name = f"attacca-{uuid.uuid4().hex}"
        self._groups: dict[int, _Group] = {}
        self._ending: dict[int, float] = {}
        self._number = 0
        self._mean: float | None = None
        self._events: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
        self._asked = self._alive = time.monotonic()

    def run(self) -> None:
        self._client.subscribe_topic(self._name, lambda event: self._events.put(("report", event[1])))
        try:
            while True:
                while len(self._groups) < self._capacity and self._send():
                    pass
                if not self._groups or self._tally.is_hopeless:
                    return
                try:
                    kind, value = self._events.get(timeout=1.0)
                except queue.Empty:
                    self._look_around()
                    continue
                if kind == "report":
                    self._report(*pickle.loads(value))
                else:
                    self._end(value)
        finally:
            for group in self._groups.values():
                group.future.cancel()
            self._client.unsubscribe_topic(self._name)

    def _look_around(self) -> None:
        now = time.monotonic()
        for number, since in list(self._ending.items()):
            if now - since > _REPORT_LIMIT:
                self._lost(number)
        if now - self._asked > 5:
            there, self._asked = self._workers(), now
            self._capacity = max(1, there)
            self._alive = now if there else self._alive
            if now - self._alive > _PATIENCE:
                raise ResourceError(f"no worker of the Dask cluster was there for {_PATIENCE:.0f} s")

    def _send(self) -> bool:
        indices = self._choose()
        if not indices:
            return False
        number = self._number
        self._number += 1
        future = self._client.submit(
            run_group,
            self._name,
            number,
            self._work,
            indices,
            key=f"{self._name}-{number}",
            pure=False,
            retries=0,
        )
        self._groups[number] = _Group(indices, future, time.time())
        future.add_done_callback(lambda _: self._events.put(("end", number)))
        return True

    def _choose(self) -> list[int]:
        while self._single:
            index = self._single.popleft()
            if not self._tally.is_final(index):
                return [index]
        left = len(self._missing) - self._next
        if left == 0:
            return []
        size = 1
        if self._mean is not None:
            fair = -(-left // (2 * self._capacity))
            size = int(min(max(self._seconds / max(self._mean, 1e-6), 1), _LARGEST_GROUP, fair))
        indices = self._missing[self._next : self._next + size].tolist()
        self._next += size
        return [int(index) for index in indices]

    def _report(self, number: int, outcomes: list[Outcome], last: bool) -> None:
        self._take(outcomes)
        if last and number in self._groups:
            # Releasing the result at once leaves Dask nothing to compute again.
            self._groups.pop(number).future.release()
            self._ending.pop(number, None)

    def _take(self, outcomes: list[Outcome]) -> None:
        for outcome in outcomes:
            if not self._tally.is_final(outcome.index) and not outcome.error:
                old = outcome.seconds if self._mean is None else self._mean
                self._mean = 0.8 * old + 0.2 * outcome.seconds
        self._single.extend(self._tally.take(*outcomes))

    def _end(self, number: int) -> None:
        from distributed import KilledWorker

        if number not in self._groups:
            return
        future = self._groups[number].future
        if future.status == "finished":
            # Its last report is on its way.
            self._ending[number] = time.monotonic()
            return
        if future.status != "error":
            raise ResourceError(
                "the connection to the Dask scheduler was lost; finished blocks are kept: run the same "
                "command again"
            )
        error = future.exception(timeout=60)
        if isinstance(error, OpeningError):
            raise _opening_error(error)
        if not isinstance(error, KilledWorker | ClaimedError):
            raise BlocksFailedError(
                f"a worker of the Dask cluster could not start a block: {type(error).__name__}: "
                f"{summarize_error(error)}; it needs "
                "the same Python packages as this process"
            ) from error
        self._lost(number)

    def _lost(self, number: int) -> None:
        group = self._groups.pop(number)
        self._ending.pop(number, None)
        begun = self._begun(number, group)
        if self._work.claims is not None:
            self._take(list(_finished(_claim(self._work.claims, number))))
        waiting = [index for index in group.indices if not self._tally.is_final(index)]
        if begun is None or len(group.indices) > 1 or not waiting:
            self._single.extend(waiting)
            return
        elapsed, limit = time.time() - begun, self._work.timeout
        reason = self._death_reason()
        if limit is not None and elapsed >= limit:
            reason = f"took longer than the time limit of {limit:g} s, and its process was ended"
        self._take([Outcome(waiting[0], elapsed, None, reason)])

    def _begun(self, number: int, group: _Group) -> float | None:
        if self._work.claims is None:
            return group.sent
        try:
            return os.stat(_claim(self._work.claims, number)).st_mtime
        except FileNotFoundError:
            return None


def _claim(claims: str, number: int) -> str:
    return os.path.join(claims, f"group-{number}")


def _finished(claim: str) -> Iterator[Outcome]:
    """What a worker wrote down before it died; what it was writing when it died does not count."""
    try:
        with open(claim, "rb") as file:
            while True:
                yield pickle.load(file)
    except (OSError, EOFError, pickle.UnpicklingError):
        return


def _opening_error(error: OpeningError) -> Exception:
    message, trace, pickled = error.args
    if pickled is not None:
        exception = pickle.loads(pickled)
        if isinstance(exception, AttaccaError):
            return exception
    return BlocksFailedError(f"the blocks could not be started: {message}\n{trace}")


# The function that this worker process has opened, by the name of its run.
_opened: dict[str, tuple[Any, BlockGrid, Ledger | None]] = {}


def run_group(name: str, number: int, work: _Work, indices: list[int]) -> None:
    """Compute a group of blocks in a worker process; what came of them is reported to the topic ``name``."""
    from distributed import get_worker

    claim = None
    if work.claims is not None:
        try:
            claim = os.open(_claim(work.claims, number), os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND)
        except FileExistsError:
            raise ClaimedError(str(number)) from None
    worker = get_worker()
    try:
        with opening_alarm(work.timeout) as alarm:
            alarm.restart()
            function, grid, ledger = _function(name, work.payload)
    except Exception as error:
        failed = Outcome.failed(-1, 0.0, error)
        raise OpeningError(failed.error, failed.trace, _pickled(error)) from None
    if ledger is not None:
        indices = ledger.missing(indices).tolist()
    with _Reports(lambda message: worker.log_event(name, message), number) as reports:
        for outcome in compute(function, list(grid.blocks(indices)), work.timeout):
            if claim is not None:
                os.write(claim, pickle.dumps(outcome))
            reports.add(outcome)
    if claim is not None:
        os.close(claim)


class _Reports:
    """Sends what came of blocks: at once where blocks take their time, a tenth of a second's worth where
    they are many.

    What is waiting is sent while the next block runs, which may never end.
    """

    def __init__(self, send: Callable[[bytes], None], number: int) -> None:
        self._send = send
        self._number = number
        self._outcomes: list[Outcome] = []
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._now_and_then, daemon=True)

    def __enter__(self) -> "_Reports":
        self._thread.start()
        return self

    def __exit__(self, kind: object, *details: object) -> None:
        self._ended.set()
        self._thread.join()
        self._flush(last=kind is None)

    def add(self, outcome: Outcome) -> None:
        with self._lock:
            self._outcomes.append(outcome)
        if outcome.error or outcome.seconds > _QUICK:
            self._flush()

    def _now_and_then(self) -> None:
        while not self._ended.wait(_REPORT_SECONDS):
            self._flush()

    def _flush(self, last: bool = False) -> None:
        with self._lock:
            outcomes, self._outcomes = self._outcomes, []
            if outcomes or last:
                self._send(pickle.dumps((self._number, outcomes, last)))


def _function(name: str, payload: bytes) -> tuple[Any, BlockGrid, Ledger | None]:
    if name not in _opened:
        for function, _, _ in _opened.values():
            close_function(function)
        _opened.clear()
        function, grid, ledger = pickle.loads(payload)
        open_function(function)
        _opened[name] = (function, grid, ledger)
    return _opened[name]


def _pickled(error: Exception) -> bytes | None:
    try:
        return pickle.dumps(error)
    except Exception:
        return None
