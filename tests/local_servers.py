"""Servers on the loopback interface, as processes of their own."""

import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


def find_free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def is_listening(port: int) -> bool:
    """Return whether a process accepts connections on a port."""
    with socket.socket() as connection:
        return connection.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def run_server(arguments: list[str], log: Path, find_address: Callable[[str], str | None]) -> Iterator[str]:
    """Run a server with the Python interpreter until the block ends.

    Args:
        arguments: arguments of the interpreter.
        log: file for the output of the server.
        find_address: returns the address from the output so far; None before the server is ready.

    Yields:
        The address.
    """
    with log.open("w") as file:
        server = subprocess.Popen([sys.executable, *arguments], stdout=file, stderr=file)
    try:
        end = time.monotonic() + 120
        while (address := find_address(log.read_text())) is None:
            assert time.monotonic() < end and server.poll() is None, log.read_text()
            time.sleep(0.1)
        yield address
    finally:
        server.terminate()
        server.wait(timeout=20)
