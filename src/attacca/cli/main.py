"""The ``attacca`` command: everything around the workflow, before, during and after it."""

import argparse
import importlib
import os
import sys
from collections.abc import Sequence

from attacca.errors import AttaccaError
from attacca.version import __version__

_COMMANDS = ("check", "plan", "status", "summary", "view", "reproduce")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run ``attacca`` and return its exit code. Errors of users are printed without a traceback."""
    parser = argparse.ArgumentParser(
        prog="attacca",
        description="Check and plan a configuration, follow a run, look at results, reproduce them. "
        "The workflow itself is run by snakemake.",
    )
    parser.add_argument("--version", action="version", version=f"attacca {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    modules = {}
    for name in _COMMANDS:
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


if __name__ == "__main__":
    sys.exit(main())
