"""The command line of a stage: arguments in, one log file, a message instead of a traceback, an honest exit code."""

import argparse
import errno
import json
import logging
import os
import signal
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from attacca.config.execution import ExecutionConfig
from attacca.errors import AttaccaError, ResourceError
from attacca.jobs.running_jobs import job_runs
from attacca.jobs.snakemake_process import end_with_snakemake
from attacca.layout import Layout
from attacca.manifest import Manifest, read_manifest

EXECUTION_VARIABLE = "ATTACCA_EXECUTION"
"""Environment variable through which the workflow hands ``execution:`` to its jobs: what stands there must not be in a
rule's ``params``, or a changed log level would compute everything again."""

RESULTS_VARIABLE = "ATTACCA_RESULTS"
"""Environment variable with the directory of results: a moved project computes nothing again."""

STORAGE_VARIABLE = "ATTACCA_STORAGE"
"""Environment variable with the place of arrays, where it is not the directory of results."""

LOADERS_VARIABLE = "ATTACCA_LOADERS"
"""Environment variable with those settings of each run's training that change no result."""

logger = logging.getLogger("attacca")


@dataclass(frozen=True)
class StageArguments:
    """What a stage is asked to do.

    Args:
        action: which part of the stage: ``plan``, ``shard``, ``finish`` or ``run``.
        layout: where results stand.
        run: name of the run; empty for stages that runs share.
        volume: name of the volume; empty for stages over a whole run.
        parameters: the section of the configuration that the stage's rule names in its ``params``.
        inputs: manifests by name.
        output: the file that tells that the work is done; written last.
        shard: index of the shard and number of shards.
        threads: processes or threads that the stage may use.
        execution: settings that change no result.
    """

    action: str
    layout: Layout
    run: str
    volume: str
    parameters: Mapping[str, Any]
    inputs: Mapping[str, Manifest]
    output: Path
    shard: tuple[int, int] = (0, 1)
    threads: int = 1
    execution: ExecutionConfig = field(default_factory=ExecutionConfig)

    @property
    def label(self) -> str:
        """``run/volume``, as it stands in progress lines and messages."""
        return "/".join(part for part in (self.run, self.volume) if part)

    @property
    def loaders(self) -> dict[str, int]:
        """Settings of the processes that prepare this run's batches; they change no result."""
        return dict(json.loads(os.environ.get(LOADERS_VARIABLE) or "{}").get(self.run, {}))


def execution_from_environment() -> ExecutionConfig:
    """The execution settings of the workflow that started this job, or the defaults."""
    text = os.environ.get(EXECUTION_VARIABLE)
    return ExecutionConfig.model_validate(json.loads(text)) if text else ExecutionConfig()


def stage_main(
    name: str, work: Callable[[StageArguments], None], arguments: Sequence[str] | None = None
) -> int:
    """Run a stage from the command line.

    A user's problem ends with its message on standard error and in the log; anything else ends with a traceback in the
    log and one line on standard error that names the log.

    Returns:
        0 when the output was written, the error's exit code otherwise.
    """
    parser = argparse.ArgumentParser(prog=f"python -m attacca.stages.{name}")
    parser.add_argument("action", choices=["plan", "shard", "finish", "run"])
    parser.add_argument("--results", type=Path, default=os.environ.get(RESULTS_VARIABLE, "results"))
    parser.add_argument("--storage", default=os.environ.get(STORAGE_VARIABLE) or None)
    parser.add_argument("--run", default="")
    parser.add_argument("--volume", default="")
    parser.add_argument("--parameters", type=json.loads, default={})
    parser.add_argument("--input", nargs="*", default=[], metavar="NAME=MANIFEST")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--shard", default="0/1")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--log", type=Path)
    options = parser.parse_args(arguments)
    execution = execution_from_environment()
    _start_log(options.log, execution.log_level)
    signal.signal(signal.SIGTERM, _stop)
    end_with_snakemake()
    with job_runs(options.log):
        return _do(name, work, options, execution)


def _do(
    name: str,
    work: Callable[[StageArguments], None],
    options: argparse.Namespace,
    execution: ExecutionConfig,
) -> int:
    try:
        index, _, count = options.shard.partition("/")
        work(
            StageArguments(
                action=options.action,
                layout=Layout(options.results, options.storage),
                run=options.run,
                volume=options.volume,
                parameters=options.parameters,
                inputs={
                    key: read_manifest(path)
                    for key, _, path in (pair.partition("=") for pair in options.input)
                },
                output=options.output,
                shard=(int(index), int(count)),
                threads=options.threads,
                execution=execution,
            )
        )
        if not options.output.exists():
            raise AttaccaError(
                f"the stage {name} ended without writing {options.output}; this is a defect of Attacca"
            )
        return 0
    except AttaccaError as error:
        return _report(name, options, error)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            place = error.filename or options.results
            return _report(
                name,
                options,
                ResourceError(
                    f"no space left on the disk while writing {place}. Finished blocks are kept: free some space, or set "
                    "'results' to another disk, and run the same command again"
                ),
            )
        if error.errno in (errno.EACCES, errno.EROFS, errno.EPERM):
            return _report(
                name,
                options,
                ResourceError(f"no permission for {error.filename or options.results}: {error.strerror}"),
            )
        return _report_defect(name, options, error)
    except KeyboardInterrupt:
        print(f"{name} {_label(options)}: interrupted; finished blocks are kept", file=sys.stderr)
        return 130
    except Exception as error:
        return _report_defect(name, options, error)


def _label(options: argparse.Namespace) -> str:
    return "/".join(part for part in (options.run, options.volume) if part)


def _stop(signum: int, frame: Any) -> None:
    raise KeyboardInterrupt


def _report(name: str, options: argparse.Namespace, error: AttaccaError) -> int:
    logger.error("%s", error)
    if error.__cause__ is not None:
        logger.debug("caused by", exc_info=error.__cause__)
    print(f"\n{name} {_label(options)}: {error}\n", file=sys.stderr)
    return error.exit_code


def _report_defect(name: str, options: argparse.Namespace, error: BaseException) -> int:
    logger.error("unexpected error", exc_info=error)
    where = f"; the traceback is in {options.log}" if options.log else ""
    print(f"\n{name} {_label(options)}: unexpected {type(error).__name__}: {error}{where}\n", file=sys.stderr)
    if not options.log:
        traceback.print_exception(error)
    return 70


def _start_log(path: Path | None, level: str) -> None:
    root = logging.getLogger()
    root.handlers.clear()
    if path is None:
        root.addHandler(logging.NullHandler())
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        handler = logging.FileHandler(path, mode="w", encoding="utf-8")
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        root.addHandler(handler)
    # Warnings are for people, too; errors are printed as messages when the stage ends.
    aloud = logging.StreamHandler()
    aloud.setFormatter(logging.Formatter("%(message)s"))
    aloud.addFilter(lambda record: record.levelno == logging.WARNING and record.name.startswith("attacca"))
    root.addHandler(aloud)
    root.setLevel(logging.WARNING)
    logger.setLevel(level.upper())
    logging.captureWarnings(True)
    logger.info("%s", " ".join(sys.argv))
