"""The terminal of the commands."""

from rich.console import Console


def create_console() -> Console:
    """Return a console that prints text as it is: names of classes and files may contain brackets and colons.

    >>> create_console().print("[bold] :smile:")
    [bold] :smile:
    """
    return Console(highlight=False, markup=False, emoji=False)
