"""``python -m MODULE`` in a fork of a process that has imported all libraries.

A test of the workflow starts about fifty jobs. Each computes for a few milliseconds, but importing torch, gunpowder and
zarr takes it more than a second. Tests of results therefore start Snakemake and its jobs through this module:

1. ``WarmPython`` starts a server (``serve``), which imports all libraries once.
2. ``WarmPython`` writes an executable named ``python`` (``CLIENT``). A test puts its directory first on ``PATH``
   (``WarmPython.environment``), so that Snakemake starts its jobs with it.
3. ``python -m MODULE ARGUMENTS`` sends a request to the server over a Unix socket: arguments, environment, working
   directory, and the descriptors of its standard streams.
4. The server forks (``fork``), and the fork runs the module (``run``). The client exits with the module's exit code.

The client passes other command lines, and modules of other packages, to the real interpreter. Tests that kill or count
processes use the real interpreter, too.
"""

import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

PRELOADED = (
    "snakemake.cli",
    "snakemake.workflow",
    "snakemake.persistence",
    "snakemake.scheduling.greedy",
    "matplotlib.figure",
    "torch.utils.tensorboard",
    "gunpowder",
    "scipy.ndimage",
    "scipy.sparse.csgraph",
    "skimage",
    "numba",
    "cc3d",
    "fastremap",
    "edt",
    "distributed",
)
"""Libraries that jobs import; the server skips those that are not installed."""

CLIENT = """#!{python} -IS
import array, json, os, socket, sys
arguments = sys.argv[1:]
if arguments[:1] != ["-m"] or not arguments[1].startswith(("attacca.", "snakemake")):
    os.execv({python!r}, [{python!r}, *arguments])
server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
server.connect({address!r})
request = json.dumps(dict(python=__file__, arguments=arguments, directory=os.getcwd(), environment=dict(os.environ))).encode()
socket.send_fds(server, [len(request).to_bytes(8, "big")], [0, 1, 2])
server.sendall(request)
answer = server.recv(8)
sys.exit(int(answer) if answer else 1)
"""
"""The executable ``python``: the size of the request with the descriptors, the request as JSON, then the exit code."""


class WarmPython:
    """The server, and the directory that contains its executable ``python``.

    Args:
        directory: empty directory for the socket and the executable; its path is short, because the path of a Unix
            socket has at most 107 characters.
        source: directory that contains the package ``attacca``.
    """

    def __init__(self, directory: Path, source: Path) -> None:
        address = directory / "socket"
        self.bin = directory / "bin"
        self.bin.mkdir()
        self.python = self.bin / "python"
        self.python.write_text(CLIENT.format(python=sys.executable, address=str(address)))
        self.python.chmod(0o755)
        self._log = directory / "log"
        with self._log.open("w") as log:
            self._server = subprocess.Popen(
                [sys.executable, __file__, str(address)],
                env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(source)},
                # The server ends when this end of the pipe is closed, also if the tests are killed.
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
            )
        end = time.monotonic() + 600
        while not address.exists():
            assert self._server.poll() is None and time.monotonic() < end, self._log.read_text()
            time.sleep(0.05)

    def environment(self, environment: dict[str, str]) -> dict[str, str]:
        """Return a copy of an environment in which ``python`` is the executable of the server."""
        return {**environment, "PATH": f"{self.bin}{os.pathsep}{environment['PATH']}"}

    def close(self) -> None:
        """End the server and all its jobs."""
        assert self._server.stdin is not None
        self._server.stdin.close()
        self._server.wait(timeout=20)


def serve(address: str) -> None:
    """Fork a process for each request, until SIGTERM or the end of the process that started the server."""
    preload()
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(f"{address}.new")
    listener.listen(64)
    selector = selectors.DefaultSelector()
    selector.register(listener, selectors.EVENT_READ)
    selector.register(sys.stdin, selectors.EVENT_READ)
    processes: dict[int, tuple[int, socket.socket]] = {}

    def stop(*_: object) -> None:
        for pid, _client in processes.values():
            os.kill(pid, signal.SIGKILL)
        os._exit(0)

    signal.signal(signal.SIGTERM, stop)
    os.rename(f"{address}.new", address)
    while True:
        for key, _ in selector.select():
            if key.fileobj is listener:
                client, _ = listener.accept()
                pid = fork(client, listener)
                if pid is None:
                    client.close()
                    continue
                ended = os.pidfd_open(pid)
                processes[ended] = pid, client
                selector.register(ended, selectors.EVENT_READ)
                selector.register(client, selectors.EVENT_READ, pid)
            elif key.fileobj is sys.stdin:
                stop()
            elif key.data is not None:
                # The client sends nothing after its request, so it was killed: kill its process.
                selector.unregister(key.fileobj)
                os.kill(key.data, signal.SIGKILL)
            else:
                selector.unregister(key.fd)
                pid, client = processes.pop(key.fd)
                os.close(key.fd)
                code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
                if client.fileno() in selector.get_map():
                    selector.unregister(client)
                    client.sendall(str(code if code >= 0 else 128 - code).encode())
                client.close()


def preload() -> None:
    """Import the libraries and all modules of Attacca, compile the kernels, and create a network."""
    import importlib
    import pkgutil
    import runpy
    import warnings

    import torch

    import attacca
    from attacca.architectures import create_architecture
    from attacca.config.architecture import UNetConfig
    from attacca.model import Model

    names = [module.name for module in pkgutil.walk_packages(attacca.__path__, "attacca.")]
    for name in (*PRELOADED, *names):
        try:
            importlib.import_module(name)
        except ModuleNotFoundError as error:
            if name.startswith("attacca"):
                raise
            print(error)
    # The first kernel and the first network import another hundred modules.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        runpy.run_module("attacca.segmentation.compiled", run_name="__main__")
    network = UNetConfig(input_shape=(8, 8, 8), channels=(1, 1), downsample_factors=((2, 2, 2),))
    with torch.random.fork_rng():
        Model(create_architecture(network, 3), torch.nn.Conv3d(1, 1, 1))
    assert threading.active_count() == 1, threading.enumerate()


def fork(client: socket.socket, listener: socket.socket) -> int | None:
    """Fork a process for one request.

    Args:
        client: connection to the client.
        listener: socket of the server, which the fork closes.

    Returns:
        Id of the process, or None if the client has closed the connection.
    """
    size, descriptors, _, _ = socket.recv_fds(client, 8, 3)
    if len(descriptors) < 3:
        return None
    left = int.from_bytes(size, "big")
    text = b""
    while len(text) < left:
        text += client.recv(left - len(text))
    pid = os.fork()
    if pid:
        for descriptor in descriptors:
            os.close(descriptor)
        return pid
    code = 1
    try:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        listener.close()
        client.close()
        for number, descriptor in enumerate(descriptors):
            os.dup2(descriptor, number)
            os.close(descriptor)
        code = run(**json.loads(text))
    finally:
        os._exit(code)


def run(python: str, arguments: list[str], directory: str, environment: dict[str, str]) -> int:
    """Run a module as ``python -m`` does, and return its exit code."""
    import atexit
    import runpy
    import traceback

    os.chdir(directory)
    os.environ.clear()
    os.environ.update(environment)
    # Functions that libraries registered for the exit of the server must not run at the exit of this process.
    atexit._clear()
    sys.path[0] = directory
    sys.argv = arguments[1:]
    module = arguments[1]
    if not module.startswith("attacca.stages."):
        # Snakemake, and the commands that start it, start jobs with sys.executable: these become forks as well. Jobs
        # start workers of multiprocessing with it, which need the real interpreter.
        sys.executable = python
    module = "snakemake.__main__" if module == "snakemake" else module
    sys.modules.pop(module, None)
    code: object = 0
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as error:
        code = error.code
    except BaseException:
        traceback.print_exc()
        code = 1
    if isinstance(code, str):
        print(code, file=sys.stderr)
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    return code if isinstance(code, int) else 0 if code is None else 1


if __name__ == "__main__":
    serve(sys.argv[1])
