"""Questions to a Dask cluster that a test has started."""

from distributed import Client


def count_transitions(address: str) -> int:
    """Return the number of steps of tasks that a scheduler has seen; each block takes several."""
    with Client(address, set_as_default=False) as client:
        return int(client.run_on_scheduler(lambda dask_scheduler: dask_scheduler.transition_counter))
