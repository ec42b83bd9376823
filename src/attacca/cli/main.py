"""The ``attacca`` command: everything around the workflow, before, during and after it."""

import argparse
import importlib
import io
import os
import sys
from collections.abc import Sequence
from contextlib import suppress

from attacca.errors import AttaccaError, summarize_error
from attacca.version import __version__

_COMMANDS = ("init", "check", "plan", "apply", "status", "summary", "view", "reproduce", "model", "new")
_TRACEBACK_VARIABLE = "ATTACCA_TRACEBACK"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run ``attacca`` and return its exit code. Errors of users are printed without a traceback."""
    for stream in (sys.stdout, sys.stderr):
        # Encodings such as ASCII lack characters of tables and paths, which are escaped then.
        if isinstance(stream, io.TextIOWrapper):
            # It fails where a pipe has replaced the file that was opened.
            with suppress(OSError):
                stream.reconfigure(errors="backslashreplace")
    parser = argparse.ArgumentParser(
        prog="attacca",
        description="Propose, check and plan a configuration, apply a trained network, follow a run, look at results, "
        "reproduce them. The workflow itself is run by snakemake.",
    )
    parser.add_argument("--version", action="version", version=f"attacca {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    arguments = sys.argv[1:] if arguments is None else arguments
    modules = {}
    # The modules of the other commands take a second to import; only the help and errors list them.
    for name in [name for name in _COMMANDS if name in arguments[:1]] or _COMMANDS:
        modules[name] = importlib.import_module(f"attacca.cli.{name}")
        modules[name].add_parser(commands)
    options = parser.parse_args(arguments)
    try:
        return int(modules[options.command].run(options))
    except AttaccaError as error:
        print(f"attacca {options.command}: {error}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        # The reader (head, less) has ended. Python would report the closed pipe again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        if os.environ.get(_TRACEBACK_VARIABLE):
            raise
        print(
            f"attacca {options.command}: unexpected {type(error).__name__}: {summarize_error(error)}. This is a defect of "
            f"Attacca; report it with the output of the same command and {_TRACEBACK_VARIABLE}=1",
            file=sys.stderr,
        )
        return 70


if __name__ == "__main__":
    sys.exit(main())
