"""Damages of configurations and of results, and the judgment of what the commands and the workflow make of them.

A configuration is damaged as a text: bytes are cut, flipped or exchanged, values are replaced by others that are huge,
negative, not a number, or of another type, lines are moved. ``attacca check`` and ``plan`` read it. The outcomes are
``refused`` (a message that names the file or a key), ``equal`` (the same settings) and ``shown`` (another valid
configuration).

Of a finished project, one file of the results is damaged or deleted. ``check``, ``plan``, ``status``, ``summary`` and the
start of the workflow read it. Outcomes are ``refused`` (a command ends in a message), ``shown`` (the start of the workflow
lists the file as damaged) and ``equal`` (it computes the stage again, or the file is not a result). A damaged result that
the start does not find is ``silent``.

Faults are those of ``damaged_files``.
"""

import contextlib
import io
import os
import random
import re
import shutil
import traceback
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

from attacca.config.load import load_configuration
from attacca.errors import AttaccaError
from attacca.jobs.seals import read_seal
from attacca.workflow.damage import all_instances
from attacca.workflow.rerun_triggers import RerunTriggers
from attacca.workflow.workflow import Workflow, open_workflow
from damaged_files import Damage, Hang, Outcome, choose_damage, limit_time, run_command

ROOT = Path(__file__).parents[1]

CONFIGURATIONS = (
    "config.yaml",
    *(f"examples/tasks/{name}.yaml" for name in ("affinities", "distance", "one_hot")),
)
"""Files whose damaged copies are read."""

RESULTS = "results"
"""Name of the outcomes of damaged results."""

NAMES = (*CONFIGURATIONS, RESULTS)
"""Subjects of damages; the position of a name is its number."""

_CPU_SECONDS = 90
"""Processor time after which several commands count as a hang; on sound files they take seconds."""

_SCALARS = ("", "0", "-1", "-3.5", "0.1", "1e400", ".nan", ".inf", "-.inf", "99999999999999999999", "800000000", "0644", "0o17", "0x1F",
    "yes", "no", "on", "~", "null", "true", "2:00", "2024-02-31", "2024-01-01", "''", "'\\0'", '"\\0"', "é", "a/b", "../x", "{}", "[]",
    "[0]", "[-1, 0, 0]", "[[]]", "[.nan, 1, 1]", "{a: 1}", "{1: 2}", "&a [*a]", "*missing", "!!python/object:os.system x", "!!binary AA==",
    "!!set {a}", "s3://", "${HOME}", "${NOWHERE}", "${NOWHERE:-x}", "TODO", "<path>", "[bold]", "x" * 300, "[" * 60, "? a", "- a", "|", ">",
    "\t", "@x", "`x`", "%x", "1_000", "1__0", "0b1", "+1", ".5", "1.", "1e5", "inf", "nan")  # fmt: skip


def _replace_scalar(lines: list[str], draws: random.Random) -> str:
    places = [index for index, line in enumerate(lines) if re.search(r"[:-] +[^\s#]", line.split("#")[0])]
    index = draws.choice(places)
    scalar = draws.choice(_SCALARS)
    if draws.random() < 0.3 and re.search(r"[\[,] *[^\[\],]+ *(?=[\],])", lines[index]):
        # One of the values of a list.
        values = list(re.finditer(r"(?<=[\[,]) *[^\[\],]+ *(?=[\],])", lines[index]))
        found = draws.choice(values) if values else None
        if found is not None:
            lines[index] = lines[index][: found.start()] + scalar + lines[index][found.end() :]
            return f"line {index + 1}: {found[0]!r} became {scalar[:40]!r}"
    keys = list(re.finditer(r"[:-] +(?=\S)", lines[index]))
    end = draws.choice(keys).end()
    old, lines[index] = lines[index][end:], lines[index][:end] + scalar
    return f"line {index + 1}: {old[:40]!r} became {scalar[:40]!r}"


def _change_line(lines: list[str], draws: random.Random) -> str:
    index = draws.randrange(len(lines))
    action = draws.choice(["remove", "repeat", "indent", "dedent", "swap", "rename", "comment"])
    line = lines[index]
    if action == "remove":
        del lines[index]
    elif action == "repeat":
        lines.insert(index, line)
    elif action == "indent":
        lines[index] = " " * draws.choice([1, 2, 4]) + line
    elif action == "dedent":
        lines[index] = line[2:] if line.startswith("  ") else line
    elif action == "swap":
        other = draws.randrange(len(lines))
        lines[index], lines[other] = lines[other], line
    elif action == "rename":
        lines[index] = re.sub(r"[a-z_]+(?=:)", draws.choice(["x", "_", "volumes", "raw", "1", "null", "<<", "a b"]), line, count=1)  # fmt: skip
    else:
        lines[index] = re.sub(r":", " #:", line, count=1)
    return f"line {index + 1}, {line.strip()[:40]!r}: {action}"


def damage_configuration(path: Path, draws: random.Random) -> tuple[str, bytes]:
    """Return the description of a damage of a YAML file, and its content after it."""
    if draws.random() < 0.25:
        damage = choose_damage(path.parent, draws, [path])
        return damage.text, b"" if damage.content is None else damage.content
    lines = path.read_text().split("\n")
    texts = [
        (_replace_scalar if draws.random() < 0.75 else _change_line)(lines, draws)
        for _ in range(draws.choice([1, 1, 1, 2]))
    ]
    return "; ".join(texts), "\n".join(lines).encode()


class ProjectJudge:
    """Damages copies of configurations and of a finished project, and judges the outcomes.

    Args:
        directory: an empty directory.
        project: a finished project with ``config.yaml`` and its results in ``results``.
    """

    def __init__(self, directory: Path, project: Path) -> None:
        self._directory = directory
        self._project = directory / "project"
        shutil.copytree(project, self._project, symlinks=True)
        self._files: list[Path] = []
        self._sealed: set[Path] = set()

    def try_damage(self, number: int, seed: int) -> Outcome:
        """Damage a copy of ``NAMES[number]`` and return the outcome."""
        draws = random.Random(f"{NAMES[number]} {seed}")
        judge = (
            self._judge_results
            if NAMES[number] == RESULTS
            else partial(self._judge_configuration, NAMES[number])
        )
        text, kind, message = "", "", ""
        outcome = judge(draws)
        try:
            text = next(outcome)
            with limit_time(_CPU_SECONDS):
                kind, message = next(outcome)
        except Hang:
            kind, message = "hang", traceback.format_exc()[-1500:]
        except MemoryError:
            kind, message = "memory", traceback.format_exc()[-1500:]
        except Exception:
            kind, message = "traceback", traceback.format_exc()[-1500:]
        finally:
            outcome.close()
        return Outcome(NAMES[number], seed, text, kind, message)

    def _judge_configuration(self, name: str, draws: random.Random) -> Iterator[Any]:
        directory = self._directory / "configuration"
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir()
        path = directory / "config.yaml"
        shutil.copy(ROOT / name, path)
        sound = load_configuration(path).model_dump(mode="json")
        text, content = damage_configuration(path, draws)
        path.write_bytes(content)
        yield text
        outputs = []
        for command in (("check", "config.yaml"), ("plan", "config.yaml", "--cores", "2")):
            output, code = run_command(directory, *command)
            if code not in (0, 1, 2):
                yield "traceback", output[-1500:]
            if code and not output.strip():
                yield "unnamed", f"{command} ended with {code} without a message"
            outputs.append((output, code))
        failed = next((output for output, code in outputs if code), None)
        if failed is not None:
            is_named = "config.yaml" in failed or "line" in failed or "results exceed" in failed
            yield ("refused" if is_named else "unnamed"), failed
        is_equal = load_configuration(path).model_dump(mode="json") == sound
        yield ("equal" if is_equal else "shown"), outputs[0][0]

    def _judge_results(self, draws: random.Random) -> Iterator[Any]:
        results = self._project / "results"
        if not self._files:
            workflow = Workflow(load_configuration(self._project / "config.yaml"))
            seals = [read_seal(instance, workflow.layout) for instance in all_instances(workflow)]
            self._sealed = {results / name for seal in seals if seal is not None for name in seal.files}
            self._files = sorted(path for path in results.rglob("*") if path.is_file())
        damage = self._choose_result(draws)
        before, state = damage.path.read_bytes(), damage.path.stat()
        if damage.content is None:
            damage.path.unlink()
        else:
            damage.path.write_bytes(damage.content)
            os.utime(damage.path, ns=(state.st_atime_ns, state.st_mtime_ns))
        yield f"{damage.path.relative_to(results)}: {damage.text}"
        try:
            yield self._read_results(damage)
        finally:
            damage.path.write_bytes(before)
            os.utime(damage.path, ns=(state.st_atime_ns, state.st_mtime_ns))
            self._remove_new_files()

    def _choose_result(self, draws: random.Random) -> Damage:
        # As many damages of ledgers, manifests and tables as of the far more numerous chunks.
        kinds: dict[str, list[Path]] = {}
        for path in self._files:
            kind = (
                path.suffix if path.suffix in (".pt", ".npy", ".tsv", ".zip", ".html", ".jsonl") else "other"
            )
            kind = path.name if path.suffix == ".json" else kind
            kinds.setdefault(kind, []).append(path)
        return choose_damage(self._project, draws, kinds[draws.choice(sorted(kinds))])

    def _read_results(self, damage: Damage) -> tuple[str, str]:
        commands = (
            ("status", "results"), ("status", "results", "--json"), ("summary", "results"),
            ("check", "config.yaml"), ("plan", "config.yaml", "--cores", "2"),
        )  # fmt: skip
        message = ""
        for command in commands:
            output, code = run_command(self._project, *command)
            if code not in (0, 1, 2):
                return "traceback", output[-1500:]
            if code:
                if "results" not in output and damage.path.name not in output:
                    return "unnamed", output
                message = message or output
        report = self._start()
        name = damage.path.name
        if name in report or str(damage.path) in report:
            return "shown", report
        if damage.path in self._sealed and damage.content is not None and damage.begin < damage.end:
            return "silent", f"{damage.path} is not listed: {report}"
        return ("refused", message) if message else ("equal", report)

    def _start(self) -> str:
        """Do what the Snakefile does before jobs start, and return what it prints."""
        before, environment = Path.cwd(), dict(os.environ)
        stderr = io.StringIO()
        try:
            os.chdir(self._project)
            with (
                contextlib.redirect_stderr(stderr),
                contextlib.redirect_stdout(stderr),
                patch("os._exit", _refuse_exit),
            ):
                workflow = open_workflow(ROOT / "src", [Path("config.yaml")], {}, True)
                triggers = RerunTriggers(workflow, active=True)
                for instance in all_instances(workflow):
                    triggers.trigger(instance.stage, instance.run, instance.volume)
        except AttaccaError as error:
            return f"{stderr.getvalue()}{error}"
        finally:
            os.chdir(before)
            os.environ.clear()
            os.environ.update(environment)
        return stderr.getvalue()

    def _remove_new_files(self) -> None:
        known = set(self._files)
        for path in (self._project / "results").rglob("*"):
            if path.is_file() and path not in known:
                path.unlink()


def _refuse_exit(code: int) -> None:
    raise AttaccaError(f"the workflow does not start, exit code {code}")


def create_judge(project: Path) -> Callable[[Path], ProjectJudge]:
    """Return the function that ``try_damages`` calls, for a finished project."""
    return partial(ProjectJudge, project=project)
