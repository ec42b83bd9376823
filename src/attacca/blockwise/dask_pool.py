"""Workers of a Dask cluster that runs already.

Its scheduler decides on its own to repeat a group whose worker died, on any machine. Workers therefore skip blocks that
the ledger holds by then. Finished blocks are also sent ahead of their group's result, so that they are recorded at once.
"""

import os
import pickle
import queue
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import cloudpickle
import dask
from distributed import Client, Future, KilledWorker, get_worker

from attacca.blockwise.compute_blocks import close_function, compute_blocks, open_function
from attacca.blockwise.grid import Block, BlockGrid
from attacca.blockwise.ledger import Ledger
from attacca.blockwise.outcome import Outcome
from attacca.blockwise.pool import OpeningError, PoolReport
from attacca.errors import BlocksFailedError, ConfigurationError, ResourceError, summarize_error
from attacca.extensions import VARIABLE, adopt_extensions

_ANSWER_SECONDS = 30
_START_SECONDS = 120
# Seconds between two messages of a worker whose blocks are quick.
_SEND_SECONDS = 0.1
# Polling interval of the number of workers in seconds.
_LOOK_SECONDS = 5.0
# Seconds without any worker before the job gives up.
_PATIENCE = 300.0


@contextmanager
def connect_client(address: str, timeout: float | None) -> Iterator[Client]:
    """Connect to a running scheduler that has workers.

    Args:
        address: of the scheduler, ``tcp://HOST:PORT``.
        timeout: seconds per block; None for no limit.

    Raises:
        ResourceError: the scheduler is unreachable or has no workers.
        ConfigurationError: the workers cannot keep a time limit.
    """
    with ExitStack() as stack:
        stack.enter_context(
            dask.config.set({"logging": {"distributed": "critical", "distributed.client": "critical"}})
        )
        try:
            client = Client(address, set_as_default=False, timeout=_ANSWER_SECONDS)
        except (OSError, TimeoutError, ValueError) as error:
            raise ResourceError(
                f"no Dask scheduler answers at {address} (execution.scheduler_address): start one with "
                "'dask scheduler', or remove the setting to use processes of the job"
            ) from error
        stack.callback(client.close)
        try:
            client.wait_for_workers(1, timeout=_START_SECONDS)
        except TimeoutError as error:
            raise ResourceError(
                f"the Dask scheduler at {address} has no workers; start some with 'dask worker {address}'"
            ) from error
        if timeout is not None:
            for worker, info in client.scheduler_info(n_workers=-1)["workers"].items():
                if info["nthreads"] != 1 or not info["nanny"]:
                    raise ConfigurationError(
                        f"the worker {worker} has {info['nthreads']} threads and {'a' if info['nanny'] else 'no'} "
                        "nanny; a time limit for blocks needs one thread and a nanny: start it with 'dask worker "
                        "--nthreads 1'"
                    )
        yield client


class DaskPool:
    """A pool of the workers of a Dask cluster; see ``attacca.blockwise.pool.Pool``.

    Args:
        client: connection to the scheduler.
        function: block function; it is pickled for the workers.
        grid: the blocks.
        ledger: record of finished blocks; None without one.
        timeout: seconds per block; None for no limit.
    """

    def __init__(
        self,
        client: Client,
        function: Callable[[Block], Any],
        grid: BlockGrid,
        ledger: Ledger | None,
        timeout: float | None,
    ) -> None:
        self._client = client
        content = cloudpickle.dumps((function, grid, ledger, timeout))
        self._payload = pickle.dumps((os.environ.get(VARIABLE, ""), content))
        self._timeout = timeout
        self._topic = f"attacca-{uuid.uuid4().hex}"
        self._groups: dict[Future[Any], tuple[tuple[int, ...], float]] = {}
        self._events: queue.SimpleQueue[Future[Any] | list[Outcome]] = queue.SimpleQueue()
        self._looked = self._alive = time.monotonic()
        self.capacity = self._count_threads()

    def __enter__(self) -> "DaskPool":
        self._client.subscribe_topic(self._topic, lambda event: self._events.put(pickle.loads(event[1])))
        return self

    def __exit__(self, *details: object) -> None:
        for future in self._groups:
            future.cancel()
        self._client.unsubscribe_topic(self._topic)

    @property
    def has_room(self) -> bool:
        """True if there are fewer groups than threads of workers."""
        return len(self._groups) < self.capacity

    @property
    def is_busy(self) -> bool:
        """True if a group is being computed."""
        return bool(self._groups)

    def submit(self, indices: list[int]) -> None:
        """Have a worker compute the blocks of a group."""
        future = self._client.submit(
            compute_group,
            self._topic,
            self._payload,
            indices,
            key=f"{self._topic}-{uuid.uuid4().hex}",
            pure=False,
            retries=0,
        )
        self._groups[future] = (tuple(indices), time.monotonic())
        future.add_done_callback(self._events.put)

    def wait(self) -> list[PoolReport]:
        """Wait for reports, at most a second.

        Raises:
            BlocksFailedError, AttaccaError: the block function could not be opened.
            ResourceError: the connection is lost, or there have been no workers for 5 minutes.
        """
        self._look_at_workers()
        try:
            event = self._events.get(timeout=1.0)
        except queue.Empty:
            return []
        return [PoolReport(event) if isinstance(event, list) else self._take_group(event)]

    def _take_group(self, future: Future[Any]) -> PoolReport:
        indices, sent = self._groups.pop(future)
        if future.status == "finished":
            return PoolReport(future.result(timeout=60))
        if future.status != "error":
            raise ResourceError(
                "the connection to the Dask scheduler was lost; finished blocks are kept: run the same command again"
            )
        error = future.exception(timeout=60)
        if isinstance(error, OpeningError):
            raise error.to_error()
        if not isinstance(error, KilledWorker):
            raise BlocksFailedError(
                f"a worker of the Dask cluster could not start a block: {type(error).__name__}: "
                f"{summarize_error(error)}; it needs the same Python packages as this process"
            ) from error
        seconds, cause = time.monotonic() - sent, "its worker died"
        if self._timeout is not None and seconds >= self._timeout:
            cause = f"took longer than the time limit of {self._timeout:g} s, and its process was ended"
        return PoolReport([], indices, cause, seconds)

    def _look_at_workers(self) -> None:
        now = time.monotonic()
        if now - self._looked > _LOOK_SECONDS:
            self._looked = now
            self.capacity = self._count_threads()
            if now - self._alive > _PATIENCE:
                raise ResourceError(
                    f"the Dask cluster had no worker for {_PATIENCE:.0f} s",
                    fix="start workers and run the same command again; the finished blocks are kept",
                )

    def _count_threads(self) -> int:
        threads = sum(self._client.nthreads().values())
        if threads:
            self._alive = time.monotonic()
        return max(1, threads)


# The block function that this worker process has opened, by the topic of its run.
_opened: dict[str, tuple[Any, BlockGrid, Ledger | None, float | None]] = {}


def compute_group(topic: str, payload: bytes, indices: list[int]) -> list[Outcome]:
    """Compute a group of blocks in a worker process of a Dask cluster.

    Args:
        topic: name of the run, and topic to which finished blocks are sent.
        payload: pickled text for ``adopt_extensions``, and pickled block function, grid, ledger and time limit.
        indices: numbers of the blocks.

    Returns:
        The outcomes of all blocks that the ledger did not hold.

    Raises:
        OpeningError: the block function could not be opened.
    """
    try:
        function, grid, ledger, timeout = _open_payload(topic, payload)
    except Exception as error:
        raise OpeningError.from_error(error) from None
    if ledger is not None:
        indices = ledger.missing(indices).tolist()
    outcomes: list[Outcome] = []
    finished: list[Outcome] = []
    last = time.monotonic()
    for outcome in compute_blocks(function, list(grid.blocks(indices)), timeout):
        outcomes.append(outcome)
        if not outcome.error:
            finished.append(outcome)
        if finished and time.monotonic() - last > _SEND_SECONDS:
            get_worker().log_event(topic, pickle.dumps(finished))
            finished, last = [], time.monotonic()
    return outcomes


def _open_payload(topic: str, payload: bytes) -> tuple[Any, BlockGrid, Ledger | None, float | None]:
    if topic not in _opened:
        for function, *_ in _opened.values():
            close_function(function)
        _opened.clear()
        extensions, content = pickle.loads(payload)
        # The block function may hold objects of extensions.
        adopt_extensions(extensions)
        function, grid, ledger, timeout = pickle.loads(content)
        open_function(function, timeout)
        _opened[topic] = (function, grid, ledger, timeout)
    return _opened[topic]
