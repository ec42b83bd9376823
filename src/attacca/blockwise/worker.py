"""Main program of the worker processes of ``ProcessPool``."""

import pickle
import signal
import sys
from enum import StrEnum
from multiprocessing.connection import Connection

from attacca.blockwise.compute_blocks import close_function, compute_blocks, open_function
from attacca.blockwise.outcome import Outcome
from attacca.blockwise.pool import OpeningError
from attacca.parent_process import end_with_parent


class Message(StrEnum):
    """States that a worker reports to the job, besides outcomes of blocks and ``OpeningError``."""

    STARTED = "started"
    OPENED = "opened"
    BEGUN = "begun"
    ENDED = "ended"


def run_worker(handle: int, parent: int) -> None:
    """Compute groups of blocks until the job sends None or ends.

    Args:
        handle: file descriptor of the connection to the job.
        parent: process number of the job.
    """
    end_with_parent(parent)
    # Ctrl-C reaches the whole process group; the job decides what happens.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # The time limit ends the process even while compiled code holds the interpreter.
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    try:
        _serve(Connection(handle))
    except (EOFError, ConnectionError):
        # The job has ended.
        sys.exit(1)


def _serve(connection: Connection) -> None:
    connection.send(Message.STARTED)
    payload = connection.recv_bytes()
    try:
        function, grid, timeout = pickle.loads(payload)
        open_function(function, timeout)
    except Exception as error:
        connection.send(OpeningError.from_error(error))
        return
    connection.send(Message.OPENED)
    while (indices := connection.recv()) is not None:
        connection.send(Message.BEGUN)
        for outcome in compute_blocks(function, list(grid.blocks(indices)), timeout):
            try:
                connection.send(outcome)
            except (TypeError, AttributeError, pickle.PicklingError) as error:
                connection.send(Outcome.from_error(outcome.index, outcome.seconds, error))
        connection.send(Message.ENDED)
    close_function(function)
