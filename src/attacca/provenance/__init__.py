"""Origin of results: digests, software and hardware environment, machines, reproduction."""
