"""Snakemake, whose executor asks SLURM every second how its jobs are.

The executor waits ten seconds longer each time that no job has ended, which is right for jobs of hours and makes a test
of short ones wait most of the time. Nothing else of it is another one than users have.
"""

import asyncio
from typing import Any

from snakemake.cli import main
from snakemake_executor_plugin_slurm import Executor


async def _one_second(executor: Any) -> None:
    await asyncio.sleep(1)


if __name__ == "__main__":
    Executor.sleep = _one_second
    main()
