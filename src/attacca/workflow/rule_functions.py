"""Functions of rules that Snakemake evaluates for each of thousands of jobs."""

import functools
import inspect
from collections.abc import Callable
from typing import Any

Function = Callable[..., Any]
"""A function that Snakemake calls with the wildcards of a job, and with other values that its parameters name."""


def store_signature(function: Function) -> Function:
    """Return a function that has its signature as an attribute.

    Snakemake needs the signature of each function several times for each job. To derive it, above all for methods,
    takes longer than most of the functions.

    >>> import inspect
    >>> inspect.signature(store_signature("a.b".split))
    <Signature (sep=None, maxsplit=-1)>
    """

    @functools.wraps(function)
    def call(*values: Any, **named_values: Any) -> Any:
        return function(*values, **named_values)

    # PEP 362: `inspect.signature` returns this attribute.
    vars(call)["__signature__"] = inspect.signature(function)
    return call
