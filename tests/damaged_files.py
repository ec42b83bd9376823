"""Damages of files, and the judgment of what becomes of a damaged file: the fuzz test of the readers.

A damaged copy of a file is opened by the reader of its format, as the import does, and by ``attacca check``. Each outcome is
one of these:

- ``refused``: both end in a message for users that names the file.
- ``equal``: voxels and metadata are those of the sound file. The damaged bytes have no meaning.
- ``shown``: the output of ``check`` differs from that for the sound file: another shape, type, order, voxel size, storage,
  or a warning.
- ``payload``: voxels differ, and each damaged byte is a byte of voxels that the format stores without a checksum. No reader
  can notice it. Bytes that are inserted or removed count as such if the voxels are compressed and the format does not
  store their length.

Everything else is a fault: ``traceback`` (an error that is not an ``AttaccaError``, or exit code 70), ``unnamed`` (a message
without the path), ``silent`` (other voxels), ``hang``, ``memory`` and ``crash`` (the process ended).
"""

import contextlib
import io
import json
import multiprocessing
import os
import random
import resource
import shutil
import signal
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Protocol

import h5py
import numpy as np
import yaml

from attacca.arrays import ZarrArray
from attacca.cli.main import main
from attacca.config.load import load_configuration
from attacca.errors import AttaccaError
from attacca.volumes import import_block, plan_volume
from format_cases import CASES
from format_cases.case import VOXELS, FormatCase, list_files

FAULTS = ("traceback", "unnamed", "silent", "hang", "memory", "crash")
SOUND = ("refused", "equal", "shown", "payload")
CPU_SECONDS = 20
"""Processor time after which a file counts as a hang; sound files take hundredths of a second."""
TIMEOUT = 180
"""Seconds after which a file counts as a hang, on a busy machine as well."""
_START = 300
"""Seconds until the libraries are imported and the first file is read."""
MEMORY = 6 << 30
"""Bytes of address space above that of the interpreter with all libraries."""


@dataclass(frozen=True)
class Outcome:
    """Result of the readers for one damaged file.

    Attributes:
        case: format and variant.
        seed: number from which the damage follows.
        damage: description of the damage.
        kind: one of ``SOUND`` and ``FAULTS``.
        message: the message, or the end of the traceback.
    """

    case: str
    seed: int
    damage: str
    kind: str
    message: str = ""


@dataclass(frozen=True)
class Damage:
    """A change of one file.

    Attributes:
        path: the file.
        text: description.
        content: its content after the damage; None if it is deleted.
        begin, end: range of the bytes that differ, in the sound file.
        keeps_length: whether all bytes after the range are where they were.
    """

    path: Path
    text: str
    content: bytes | None
    begin: int
    end: int
    keeps_length: bool


def _cut(content: bytes, draws: random.Random) -> tuple[str, bytes]:
    length = draws.choice([0, draws.randrange(len(content)), draws.randrange(len(content)), len(content) - 1])
    return f"cut to {length} of {len(content)} bytes", content[:length]


def _pick(content: bytes, draws: random.Random) -> int:
    """Return a position, in half of the cases one of the first 1024 bytes."""
    return draws.randrange(min(len(content), draws.choice([64, 1024, len(content), len(content)])))


def _flip(content: bytes, draws: random.Random) -> tuple[str, bytes]:
    position, bit = _pick(content, draws), draws.randrange(8)
    damaged = bytearray(content)
    damaged[position] ^= 1 << bit
    return f"bit {bit} of byte {position} flipped", bytes(damaged)


def _overwrite(content: bytes, draws: random.Random) -> tuple[str, bytes]:
    position, length = _pick(content, draws), draws.choice([1, 2, 4, 8, 16])
    filler = draws.choice([b"\0" * length, b"\xff" * length, draws.randbytes(length)])
    damaged = content[:position] + filler[: len(content) - position] + content[position + length :]
    return f"{length} bytes from {position} overwritten with {filler.hex()}", damaged


def _exchange(content: bytes, draws: random.Random) -> tuple[str, bytes]:
    length = draws.choice([1, 2, 4, 16, 64])
    if len(content) < 2 * length:
        return _flip(content, draws)
    first = draws.randrange(len(content) - 2 * length + 1)
    second = draws.randrange(first + length, len(content) - length + 1)
    damaged = bytearray(content)
    damaged[first : first + length], damaged[second : second + length] = (
        content[second : second + length], content[first : first + length],
    )  # fmt: skip
    return f"{length} bytes at {first} and {second} exchanged", bytes(damaged)


def _insert(content: bytes, draws: random.Random) -> tuple[str, bytes]:
    position, filler = _pick(content, draws), draws.randbytes(draws.choice([1, 2, 7, 512]))
    return f"{len(filler)} bytes inserted at {position}", content[:position] + filler + content[position:]


def _remove(content: bytes, draws: random.Random) -> tuple[str, bytes]:
    position, length = _pick(content, draws), draws.choice([1, 2, 7, 512])
    return f"{length} bytes removed at {position}", content[:position] + content[position + length :]


_STRANGERS = (b"<!DOCTYPE html><html><body>404</body></html>", b"\x89PNG\r\n\x1a\n", b"II*\0\x08\0\0\0", b"MM\0*\0\0\0\x08",
    b"\x89HDF\r\n\x1a\n", b"{}", b"[]", b"null", b"PK\x03\x04", b"version https://git-lfs.github.com/spec/v1\n", b"\xff\xd8\xff\xe0",
    b"BM", b"\0" * 1024)  # fmt: skip


def _replace(content: bytes, draws: random.Random) -> tuple[str, bytes]:
    stranger = draws.choice(_STRANGERS)
    if draws.random() < 0.5:
        return f"replaced by {stranger[:16]!r}", stranger
    return f"header replaced by {stranger[:16]!r}", stranger + content[len(stranger) :]


_VALUES: tuple[Any, ...] = (0, -1, 1, 2, 3, 7, 2**31, 2**63, 2**80, 0.5, -1e300, 1e400, None, True, "", "x", "/", "F", ">u2", "|u1",
    "<f8", "uint16", "float32", "nan", [], [0], [0, 0, 0], [1, 1, 1], [3, 8, 8], ["x", "y", "z"], {}, {"id": "x"}, "é", "\0", "9" * 400,
    [[]])  # fmt: skip


def _edit(content: bytes, draws: random.Random) -> tuple[str, bytes]:
    """Change a value of JSON: replaced, removed, or exchanged with another."""
    try:
        values = json.loads(content)
    except ValueError:
        return _flip(content, draws)
    places: list[tuple[Any, Any]] = []

    def walk(node: Any) -> None:
        for key in node if isinstance(node, dict) else range(len(node)):
            places.append((node, key))
            if isinstance(node[key], dict | list):
                walk(node[key])

    if isinstance(values, dict | list):
        walk(values)
    if not places:
        return _flip(content, draws)
    node, key = draws.choice(places)
    action = draws.choice(["replace", "replace", "replace", "remove", "exchange", "rename"])
    if action == "exchange":
        other, place = draws.choice(places)
        node[key], other[place] = other[place], node[key]
        text = f"values of {key!r} and {place!r} exchanged"
    elif action == "remove":
        del node[key]
        text = f"{key!r} removed"
    elif action == "rename" and isinstance(node, dict):
        node[str(key).upper()] = node.pop(key)
        text = f"{key!r} renamed"
    else:
        old, node[key] = node[key], draws.choice(_VALUES)
        text = f"{key!r}: {str(old)[:40]} became {str(node[key])[:20]!r}"
    try:
        return text, json.dumps(values).encode()
    except ValueError:
        # A value was put into itself.
        return _flip(content, draws)


_BINARY = (_cut, _flip, _flip, _flip, _overwrite, _overwrite, _exchange, _insert, _remove, _replace)
_JSON = (_cut, _flip, _overwrite, _exchange, _replace, *[_edit] * 8)


def choose_damage(directory: Path, draws: random.Random, files: Sequence[Path] | None = None) -> Damage:
    """Choose a file below a directory, or of a list, and a damage of it. Half of the chosen files are metadata."""
    files = list_files(directory) if files is None else files
    texts = [path for path in files if path.read_bytes()[:1] in (b"{", b"[")]
    path = draws.choice(texts if texts and draws.random() < 0.5 else files)
    content = path.read_bytes()
    if draws.random() < 0.02:
        return Damage(path, "deleted", None, 0, len(content), False)
    if not content:
        return Damage(path, "a byte added", b"\0", 0, 0, False)
    text, damaged = draws.choice(_JSON if path in texts else _BINARY)(content, draws)
    begin = next(
        (i for i, (a, b) in enumerate(zip(content, damaged)) if a != b), min(len(content), len(damaged))
    )
    end = len(content)
    if len(content) == len(damaged):
        while end > begin and content[end - 1] == damaged[end - 1]:
            end -= 1
    return Damage(path, text, damaged, begin, end, len(content) == len(damaged))


def restore_payload(case: FormatCase, directory: Path, damage: Damage) -> bytes | None:
    """Return the content of the damaged file with its sound bytes wherever they hold voxels without a checksum.

    Args:
        case: the case.
        directory: directory of the sound file.
        damage: the damage, with the path of the sound file.

    Returns:
        The content; None if no damaged byte holds voxels, or if bytes after them were moved.
    """
    if case.payload is None or damage.content is None:
        return None
    content = damage.path.read_bytes()
    if not damage.keeps_length:
        # Bytes were inserted or removed; the length of compressed voxels is not stored in some formats.
        ranges = case.payload(directory).get(damage.path, [])
        begin, rest = damage.begin, _count_equal_end(content, damage.content)
        is_inside = any(first <= begin and len(content) - rest <= last for first, last in ranges)
        is_inside = is_inside and not content.startswith(damage.content)
        return content if is_inside and case.is_compressed else None
    restored = bytearray(damage.content)
    for begin, end in case.payload(directory).get(damage.path, []):
        restored[begin:end] = content[begin:end]
    return None if restored == damage.content else bytes(restored)


def _count_equal_end(content: bytes, damaged: bytes) -> int:
    count = 0
    while count < min(len(content), len(damaged)) and content[-1 - count] == damaged[-1 - count]:
        count += 1
    return count


@dataclass
class Reading:
    """Voxels of a source, the output of ``check``, and the error of one of them.

    Attributes:
        kind: ``read``, ``refused``, or a fault.
    """

    voxels: np.ndarray | None
    output: str
    error: str
    kind: str


def read_source(case: FormatCase, keys: dict[str, Any], directory: Path) -> Reading:
    """Run ``attacca check`` on a source, and read all its voxels if it finds no problem.

    Voxels are read as the import does it, and in place where that is possible.
    """
    write_configuration(case, keys, directory)
    output, code = run_check(directory)
    if code not in (0, 1, 2):
        return Reading(None, output, output[-1500:], "traceback")
    if code != 0:
        return Reading(None, output, output, "refused")
    voxels, error, kind = None, "", "read"
    try:
        config = load_configuration(directory / "config.yaml").volumes["case"]
        plan = plan_volume(config)
        array = plan.arrays[case.use]
        voxels = import_block(config, plan, array, array.roi)
        if array.link is not None:
            in_place = ZarrArray(array.link)[array.roi]
            assert np.array_equal(in_place, voxels), "voxels that are read in place differ from imported ones"
    except AttaccaError as caught:
        error, kind = str(caught), "refused"
    except MemoryError:
        error, kind = traceback.format_exc()[-1500:], "memory"
    except Exception:
        error, kind = traceback.format_exc()[-1500:], "traceback"
    return Reading(voxels, output, error, kind)


def write_configuration(case: FormatCase, keys: dict[str, Any], directory: Path) -> None:
    """Write a configuration with the source as the only volume beside a synthetic one."""
    volume: dict[str, Any] = {"raw": keys}
    if case.use == "labels":
        volume = {"raw": {"path": "plain.h5"}, "labels": keys}
        with h5py.File(directory / "plain.h5", "w") as file:
            file["raw"] = VOXELS
    size, unit = case.voxel_size or ((40, 4, 4), "nanometer")
    volume["unit"] = unit
    if case.voxel_size is None or case.use == "labels":
        volume["voxel_size"] = [*size]
    network = {"input_shape": [8, 16, 16], "num_fmaps": 2, "downsample_factors": [[1, 2, 2]]}
    values = {
        "volumes": {
            "cube": {"synthetic": {"shape": [12, 24, 24]}, "voxel_size": [*size], "unit": unit},
            "case": volume,
        },
        "runs": {
            "run": {
                "task": {"type": "affinities", "neighborhood": [[1, 0, 0], [0, 1, 0], [0, 0, 1]]},
                "architecture": network,
                "volumes": {"train": ["cube"], "test": ["case"]},
            }
        },
    }
    (directory / "config.yaml").write_text(yaml.safe_dump(values))


def run_check(directory: Path) -> tuple[str, int]:
    """Return the output of ``attacca check`` and its exit code."""
    return run_command(directory, "check", "config.yaml")


def run_command(directory: Path, *arguments: str) -> tuple[str, int]:
    """Return the output of a command of ``attacca`` in a directory, and its exit code."""
    stdout, stderr = io.StringIO(), io.StringIO()
    before = Path.cwd()
    try:
        os.chdir(directory)
        with contextlib.redirect_stdout(stdout), contextlib.redirect_stderr(stderr):
            code = main(arguments)
    finally:
        os.chdir(before)
    return stdout.getvalue() + stderr.getvalue(), code


def judge(keys: dict[str, Any], damage: Damage, sound: Reading, found: Reading) -> tuple[str, str]:
    """Return the kind of an outcome and its message. Other voxels count as ``silent``.

    Args:
        keys: keys of the source.
        damage: the damage.
        sound: reading of the sound file.
        found: reading of the damaged file.
    """
    if found.kind in ("traceback", "memory"):
        return found.kind, found.error
    if found.kind == "refused":
        is_named = keys["path"] in found.error or damage.path.name in found.error
        # Values of the file that contradict those of other volumes are reported with the name of the volume.
        is_named = is_named or "case has [" in found.error
        return ("refused" if is_named else "unnamed"), found.error
    if found.output != sound.output:
        return "shown", found.output
    return ("equal", "") if np.array_equal(found.voxels, sound.voxels) else ("silent", "other voxels")


READ = [case for case in CASES if case.expected is not None]
"""Cases whose damaged copies are read."""


class Hang(BaseException):
    """A file took too long; no reader catches this."""


def _interrupt(number: int, frame: object) -> None:
    raise Hang


class Damager:
    """Damages copies of the files of cases and judges the outcomes.

    Args:
        directory: an empty directory.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._sound: dict[int, tuple[dict[str, Any], Reading]] = {}

    def try_damage(self, number: int, seed: int) -> Outcome:
        """Damage a copy of the files of ``READ[number]`` and return the outcome."""
        case, sound, copy = READ[number], self._directory / f"{number}", self._directory / "copy"
        if number not in self._sound:
            sound.mkdir()
            keys = case.write(sound)
            if case.expected is not None and case.expected.ndim > 3:
                keys["channel"] = 1
            self._sound[number] = keys, self._read(case, keys, sound, None, None)
            assert self._sound[number][1].kind == "read", f"{case}: {self._sound[number][1].error}"
        keys, reading = self._sound[number]
        damage = choose_damage(sound, random.Random(f"{case} {seed}"))
        try:
            kind, message = judge(
                keys, damage, reading, self._read(case, keys, sound, damage.path, damage.content)
            )
            restored = restore_payload(case, sound, damage) if kind == "silent" else None
            if restored is not None:
                # Do the other damaged bytes, if any, change something?
                again = self._read(case, keys, sound, damage.path, restored)
                kind = "payload" if judge(keys, damage, reading, again)[0] == "equal" else "silent"
        except Hang:
            kind, message = "hang", traceback.format_exc()[-1500:]
        shutil.rmtree(copy, ignore_errors=True)
        text = f"{damage.path.relative_to(sound)}: {damage.text}"
        return Outcome(str(case), seed, text, kind, message)

    def _read(
        self, case: FormatCase, keys: dict[str, Any], sound: Path, path: Path | None, content: bytes | None
    ) -> Reading:
        """Read a copy of the files of a case in which one file has another content, or is deleted."""
        copy = self._directory / "copy"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(sound, copy)
        if path is not None:
            target = copy / path.relative_to(sound)
            target.unlink() if content is None else target.write_bytes(content)
        if path is None:
            # The first file imports the libraries.
            return read_source(case, keys, copy)
        with limit_time():
            return read_source(case, keys, copy)


@contextlib.contextmanager
def limit_memory() -> Iterator[None]:
    """Let the process have ``MEMORY`` bytes of address space above the present size in the block."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + MEMORY, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


class Judge(Protocol):
    """Damages of numbered subjects, and their judgment."""

    def try_damage(self, number: int, seed: int) -> Outcome:
        """Damage a subject and return the outcome."""


@contextlib.contextmanager
def limit_time(seconds: float = CPU_SECONDS) -> Iterator[None]:
    """Raise ``Hang`` in the block after some seconds of processor time, or after ``TIMEOUT`` seconds."""
    signals = (signal.SIGALRM, signal.SIGPROF)
    before = [signal.signal(number, _interrupt) for number in signals]
    signal.alarm(TIMEOUT)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.alarm(0)
        for number, handler in zip(signals, before):
            signal.signal(number, handler)


def _work(
    connection: Connection,
    tasks: Sequence[tuple[int, int]],
    directory: Path,
    create_judge: Callable[[Path], Judge],
) -> None:
    """Send the outcome of each task; runs in a process of its own."""
    judge = create_judge(directory)
    judge.try_damage(*tasks[0])
    connection.send(None)
    with limit_memory():
        for task in tasks:
            connection.send(judge.try_damage(*task))
    connection.close()


def try_damages_here(
    tasks: Sequence[tuple[int, int]], directory: Path, create_judge: Callable[[Path], Judge] = Damager
) -> list[Outcome]:
    """Return the outcome of each task, in order, with the limits of ``try_damages`` but in this process, which a crash ends.

    Args:
        tasks: numbers and seeds.
        directory: an empty directory.
        create_judge: function that returns the judge for an empty directory.
    """
    judge = create_judge(directory)
    judge.try_damage(*tasks[0])
    with limit_memory():
        return [judge.try_damage(*task) for task in tasks]


def try_damages(
    tasks: Sequence[tuple[int, int]],
    directory: Path,
    create_judge: Callable[[Path], Judge] = Damager,
    names: Sequence[object] = READ,
) -> Iterator[Outcome]:
    """Yield the outcome of each task, the number of a subject and a seed, in order.

    The files are read in another process with limits of time and memory. After a crash or hang, another one continues.

    Args:
        tasks: numbers and seeds.
        directory: an empty directory.
        create_judge: function that returns the judge for an empty directory.
        names: names of the subjects.
    """
    context = multiprocessing.get_context("spawn")
    position = 0
    while position < len(tasks):
        receiver, sender = context.Pipe(duplex=False)
        room = directory / f"from-{position}"
        room.mkdir()
        process = context.Process(
            target=_work, args=(sender, tasks[position:], room, create_judge), daemon=True
        )
        process.start()
        sender.close()
        try:
            if not receiver.poll(_START):
                raise TimeoutError("no file was read")
            receiver.recv()
        except EOFError:
            raise RuntimeError("the process ended before a file was read") from None
        try:
            while position < len(tasks):
                if not receiver.poll(TIMEOUT + 60):
                    process.kill()
                    yield _lose(names, tasks[position], "hang")
                    position += 1
                    break
                yield receiver.recv()
                position += 1
        except EOFError:
            process.join()
            yield _lose(names, tasks[position], "crash", f"exit code {process.exitcode}")
            position += 1
        process.join()
        shutil.rmtree(room, ignore_errors=True)


def _lose(names: Sequence[object], task: tuple[int, int], kind: str, message: str = "") -> Outcome:
    return Outcome(str(names[task[0]]), task[1], "the process ended", kind, message)
