"""A process that prepares batches, started by ``loader``: ``python -m attacca.training.loader_worker FD
PARENT``."""

import ctypes
import os
import pickle
import signal
import socket
import sys
import tempfile

import numpy as np

from attacca.errors import AttaccaError, TrainingError, summarize_error
from attacca.freed_memory import keep_freed_memory
from attacca.training.loader import MESSAGE_BYTES, REQUEST
from attacca.training.pipeline import Batch, SamplePipeline

_PR_SET_PDEATHSIG = 1


def end_with_parent(parent: int) -> None:
    """Have the kernel kill this process when its parent ends, however that happens (Linux only)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)


def send_batch(channel: socket.socket, batch: Batch) -> None:
    """Put arrays into anonymous shared memory and hand over its descriptor."""
    layout = []
    offset = 0
    for name, array in batch.items():
        layout.append((name, array.dtype.str, array.shape, offset))
        offset += -(-array.nbytes // 64) * 64
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("attacca-batch")
    else:
        descriptor, path = tempfile.mkstemp()
        os.unlink(path)
    try:
        os.ftruncate(descriptor, offset)
        for (_, _, _, begin), array in zip(layout, batch.values()):
            view = memoryview(np.ascontiguousarray(array).data).cast("B")
            while view:
                written = os.pwrite(descriptor, view, begin)
                view, begin = view[written:], begin + written
        socket.send_fds(channel, [pickle.dumps(("batch", layout))], [descriptor])
    finally:
        os.close(descriptor)


def main(descriptor: int, parent: int) -> None:
    """Answer requests for iterations until the parent closes the socket."""
    end_with_parent(parent)
    keep_freed_memory()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends this process, in its own time
    channel = socket.socket(fileno=descriptor)
    try:
        try:
            spec, rank, ranks = pickle.load(sys.stdin.buffer)
            pipeline = SamplePipeline(spec)
            while request := channel.recv(REQUEST.size):
                (iteration,) = REQUEST.unpack(request)
                send_batch(channel, pipeline.batch(iteration, rank, ranks))
        except (BrokenPipeError, ConnectionResetError):
            return
        except Exception as error:
            kind = type(error) if isinstance(error, AttaccaError) else TrainingError
            text = str(error) if isinstance(error, AttaccaError) else f"a batch could not be made: {error!r}"
            content = pickle.dumps(("error", (kind, text[: MESSAGE_BYTES // 8] or summarize_error(error))))
            channel.send(content)
    finally:
        channel.close()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
