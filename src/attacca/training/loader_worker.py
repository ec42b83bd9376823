"""Process that prepares batches, started by ``loader``: ``python -m attacca.training.loader_worker FD PARENT``."""

import os
import pickle
import signal
import socket
import sys
import tempfile

import numpy as np

from attacca.errors import AttaccaError, TrainingError, summarize_error
from attacca.freed_memory import keep_freed_memory
from attacca.parent_process import end_with_parent
from attacca.training.loader import MESSAGE_BYTES, REQUEST
from attacca.training.pipeline import Batch, SamplePipeline


def send_batch(channel: socket.socket, batch: Batch) -> None:
    """Write arrays to anonymous shared memory, and send its descriptor."""
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
        for (_, _, _, position), array in zip(layout, batch.values()):
            view = memoryview(np.ascontiguousarray(array).data).cast("B")
            while view:
                written = os.pwrite(descriptor, view, position)
                view, position = view[written:], position + written
        socket.send_fds(channel, [pickle.dumps(("batch", layout))], [descriptor])
    finally:
        os.close(descriptor)


def main(descriptor: int, parent: int) -> None:
    """Answer requests for iterations until the parent closes the socket."""
    end_with_parent(parent)
    keep_freed_memory()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C and ends this process
    channel = socket.socket(fileno=descriptor)
    try:
        try:
            spec, rank, ranks = pickle.load(sys.stdin.buffer)
            pipeline = SamplePipeline(spec)
            while request := channel.recv(REQUEST.size):
                (iteration,) = REQUEST.unpack(request)
                send_batch(channel, pipeline.create_batch(iteration, rank, ranks))
        except (BrokenPipeError, ConnectionResetError):
            return
        except Exception as error:
            kind = type(error) if isinstance(error, AttaccaError) else TrainingError
            text = (
                str(error) if isinstance(error, AttaccaError) else f"a batch could not be prepared: {error!r}"
            )
            content = pickle.dumps(("error", (kind, text[: MESSAGE_BYTES // 8] or summarize_error(error))))
            channel.send(content)
    finally:
        channel.close()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
