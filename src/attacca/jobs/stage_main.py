"""Command line of a stage: its arguments, log file, error messages and exit code."""

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

from attacca.arrays.identifier import is_url
from attacca.arrays.server_errors import is_server_error
from attacca.config.execution import ExecutionConfig
from attacca.errors import AttaccaError, ResourceError, summarize_error
from attacca.extensions import locate_failure
from attacca.jobs.job_locks import hold_job_lock
from attacca.jobs.run_sources import SOURCES_VARIABLE, RunSources
from attacca.jobs.seals import break_seal, write_seal
from attacca.jobs.snakemake_process import end_with_snakemake
from attacca.jobs.stage import ACTIONS, FINISH, PLAN, RUN, Stage, StageInstance
from attacca.layout import Layout
from attacca.manifest import Manifest, read_manifest

EXECUTION_VARIABLE = "ATTACCA_EXECUTION"
"""Environment variable with the ``execution`` section: in a rule's ``params``, a changed log level would recompute
everything."""

RESULTS_VARIABLE = "ATTACCA_RESULTS"
"""Environment variable with the directory of results: in a rule's ``params``, a moved project would be recomputed."""

STORAGE_VARIABLE = "ATTACCA_STORAGE"
"""Environment variable with the location of arrays, if they are not in the directory of results."""

LOADERS_VARIABLE = "ATTACCA_LOADERS"
"""Environment variable with the settings of each run's training that change no result."""

logger = logging.getLogger("attacca")


@dataclass(frozen=True)
class StageArguments:
    """Arguments of a job of a stage.

    Args:
        action: part of the stage: ``plan``, ``shard``, ``finish`` or ``run``.
        layout: paths of results.
        run: name of the run; empty for stages that runs share.
        volume: name of the volume; empty for stages over a whole run.
        parameters: section of the configuration that the stage's rule names in its ``params``.
        inputs: manifests by name.
        output: file that is written last, when the job is done.
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
        """``run/volume``, as in lines of progress and messages."""
        return "/".join(part for part in (self.run, self.volume) if part)

    @property
    def sources(self) -> RunSources:
        """Files of the run that are not volumes. Parameters have their digests instead of their paths."""
        return RunSources.model_validate(
            json.loads(os.environ.get(SOURCES_VARIABLE) or "{}").get(self.run, {})
        )

    @property
    def loaders(self) -> dict[str, int]:
        """Settings of the processes that prepare the run's batches; they change no result."""
        return dict(json.loads(os.environ.get(LOADERS_VARIABLE) or "{}").get(self.run, {}))


def execution_from_environment() -> ExecutionConfig:
    """Return the execution settings of the workflow that started this job, or the defaults."""
    text = os.environ.get(EXECUTION_VARIABLE)
    return ExecutionConfig.model_validate(json.loads(text)) if text else ExecutionConfig()


def stage_main(
    stage: Stage, work: Callable[[StageArguments], None], arguments: Sequence[str] | None = None
) -> int:
    """Run a job of a stage from the command line.

    An error that a user can fix is printed as a message on standard error and in the log. Any other error is logged
    with its traceback, and one line on standard error names the log.

    Args:
        stage: the stage.
        work: function that does the work of the job.
        arguments: command line; that of the process by default.

    Returns:
        0 when the output was written, the error's exit code otherwise.
    """
    name = stage.name
    parser = argparse.ArgumentParser(prog=f"python -m attacca.stages.{name}")
    parser.add_argument("action", choices=ACTIONS)
    parser.add_argument("--results", type=Path, default=os.environ.get(RESULTS_VARIABLE, "results"))
    parser.add_argument("--storage", default=os.environ.get(STORAGE_VARIABLE) or None)
    parser.add_argument("--run", default="")
    parser.add_argument("--volume", default="")
    parser.add_argument("--parameters", type=json.loads, default={})
    # A manifest without a name is not read here: the stage searches the results itself.
    parser.add_argument("--input", nargs="*", default=[], metavar="[NAME]=MANIFEST")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--shard", default="0/1")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--log", type=Path)
    options = parser.parse_args(arguments)
    execution = execution_from_environment()
    _start_log(options.log, execution.log_level)
    signal.signal(signal.SIGTERM, _stop)
    end_with_snakemake()
    with hold_job_lock(options.log):
        return _run_job(stage, work, options, execution)


def _run_job(
    stage: Stage,
    work: Callable[[StageArguments], None],
    options: argparse.Namespace,
    execution: ExecutionConfig,
) -> int:
    name, layout = stage.name, Layout(options.results, options.storage)
    instance = StageInstance(stage, options.run, options.volume)
    try:
        index, _, count = options.shard.partition("/")
        read = [(key, Path(path)) for key, _, path in (pair.partition("=") for pair in options.input)]
        if options.action in (PLAN, RUN) or not stage.is_blockwise:
            break_seal(instance, layout)
        work(
            StageArguments(
                action=options.action,
                layout=layout,
                run=options.run,
                volume=options.volume,
                parameters=options.parameters,
                inputs={key: read_manifest(path) for key, path in read if key},
                output=options.output,
                shard=(int(index), int(count)),
                threads=options.threads,
                execution=execution,
            )
        )
        if not options.output.exists():
            raise AttaccaError(
                f"the stage {name} ended without writing {options.output}; this is a bug in Attacca: report it with the log"
            )
        if options.action in (FINISH, RUN):
            write_seal(instance, layout, [path for _, path in read])
        return 0
    except AttaccaError as error:
        return _report(name, options, error)
    except OSError as error:
        if is_server_error(error):
            return _report_server(name, options, error)
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            problem = ResourceError(
                f"no space left on the disk while writing {error.filename or options.results}. Finished blocks are kept: "
                "free some space, or set 'results' to another disk, and run the same command again"
            )
            return _report(name, options, problem)
        if error.errno in (errno.EACCES, errno.EROFS, errno.EPERM):
            problem = ResourceError(
                f"no permission for {error.filename or options.results}: {error.strerror}"
            )
            return _report(name, options, problem)
        return _report_defect(name, options, error)
    except KeyboardInterrupt:
        print(f"{name} {_label(options)}: interrupted; finished blocks are kept", file=sys.stderr)
        return 130
    except Exception as error:
        if is_server_error(error):
            return _report_server(name, options, error)
        where = locate_failure(error)
        if where:
            failure = AttaccaError(f"an extension failed: {where}", fix="correct it and start again")
            failure.__cause__ = error
            return _report(name, options, failure)
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


def _report_server(name: str, options: argparse.Namespace, error: Exception) -> int:
    storage = f"; the arrays are stored at {options.storage}" if is_url(options.storage or "") else ""
    problem = ResourceError(
        f"a request to a server failed: {type(error).__name__}: {summarize_error(error)}{storage}",
        fix="finished blocks are kept: correct addresses or keys, or wait for the server, and run the same command again",
    )
    problem.__cause__ = error
    return _report(name, options, problem)


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
    # Users see warnings on standard error; errors are printed as messages when the stage ends.
    console = logging.StreamHandler()
    console.setFormatter(logging.Formatter("%(message)s"))
    console.addFilter(lambda record: record.levelno == logging.WARNING and record.name.startswith("attacca"))
    root.addHandler(console)
    root.setLevel(logging.WARNING)
    logger.setLevel(level.upper())
    logging.captureWarnings(True)
    logger.info("%s", " ".join(sys.argv))
