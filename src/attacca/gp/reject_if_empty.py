"""Rejection of batches whose masks or labels are nearly empty."""

from abc import abstractmethod

import gunpowder as gp
import numpy as np
from funlib.geometry import Roi

from attacca.errors import TrainingError
from attacca.gp.random_state import get_generator
from attacca.gp.seeds import copy_with_seed


class _RejectUntil(gp.BatchFilter):
    """Request batches with new random numbers until one is accepted.

    Args:
        key: array by which batches are accepted.
        p: probability that a batch has to be accepted.
        max_tries: number of batches to request before giving up.
        name: name of the volume, for the message.
    """

    def __init__(self, key: gp.ArrayKey | None, p: float, max_tries: int, name: str) -> None:
        self.key = key
        self.p = p
        self.max_tries = max_tries
        self.volume = name

    def setup(self) -> None:
        if self.key is None or self.key not in self.spec:
            raise ValueError(
                f"{type(self).__name__} needs an array to inspect, but {self.key} is not provided upstream: add a "
                "source for it"
            )

    @abstractmethod
    def accepts(self, batch: gp.Batch) -> bool:
        """Return whether a batch is kept."""

    @abstractmethod
    def describe_failure(self) -> str:
        """Return the reason why all batches were rejected, as the end of a sentence."""

    def find_region(self, request: gp.BatchRequest) -> Roi:
        """Return the region of the array to inspect if the array is not requested."""
        return request.get_total_roi()

    def provide(self, request: gp.BatchRequest) -> gp.Batch:
        reject = self.p >= 1 or get_generator().random_sample() < self.p
        extended = request.copy()
        if self.key not in extended:
            extended[self.key] = gp.ArraySpec(roi=self.find_region(request))
        upstream = self.get_upstream_provider()
        for _ in range(self.max_tries if reject else 1):
            # A request with a seed always gives the same batch, so each try gets its own seed, drawn from the
            # random numbers that the seed of the request initialized.
            seed = int(get_generator().randint(0, 2**31)) if request.is_deterministic() else None
            state = get_generator().get_state()
            batch = upstream.request_batch(copy_with_seed(extended, seed))
            get_generator().set_state(state)
            if not reject or self.accepts(batch):
                if self.key not in request:
                    del batch[self.key]
                return batch
        where = f" of volume {self.volume}" if self.volume else ""
        raise TrainingError(f"{self.max_tries} random samples in a row{where} {self.describe_failure()}")


class RejectIfEmpty(_RejectUntil):
    """With probability ``p``, request batches until one is not all background.

    Args:
        gt: labels, any shape and integer dtype.
        p: probability that an empty batch is rejected.
        background: label of the background.
        max_tries: number of batches to request before giving up.
        name: name of the volume, for the message.

    Raises:
        TrainingError: on a request, ``max_tries`` batches in a row were empty.
    """

    def __init__(
        self,
        gt: gp.ArrayKey | None = None,
        p: float = 0.5,
        background: int = 0,
        max_tries: int = 500,
        name: str = "",
    ) -> None:
        super().__init__(gt, p, max_tries, name)
        self.gt = gt
        self.background = background

    def accepts(self, batch: gp.Batch) -> bool:
        return bool((batch[self.gt].data != self.background).any())

    def describe_failure(self) -> str:
        return (
            f"held nothing but background ({self.background}) in {self.gt}: check that these are the right labels, and "
            "that the sampled region is annotated"
        )


class RejectIfMasked(_RejectUntil):
    """Request batches until one has enough voxels inside the mask.

    Args:
        mask: mask of any shape, non-zero inside.
        min_masked: smallest fraction of voxels inside the mask.
        window: region of the mask that is inspected, in world units; None for all of the requested mask.
        max_tries: number of batches to request before giving up.
        name: name of the volume, for the message.

    Raises:
        TrainingError: on a request, ``max_tries`` batches in a row had too few.
    """

    def __init__(
        self,
        mask: gp.ArrayKey,
        min_masked: float,
        window: Roi | None = None,
        max_tries: int = 500,
        name: str = "",
    ) -> None:
        super().__init__(mask, 1.0, max_tries, name)
        self.min_masked = min_masked
        self.window = window
        self.best = 0.0

    def find_region(self, request: gp.BatchRequest) -> Roi:
        return self.window if self.window is not None else super().find_region(request)

    def accepts(self, batch: gp.Batch) -> bool:
        mask = batch[self.key]
        roi = mask.spec.roi if self.window is None else self.window.intersect(mask.spec.roi)
        fraction = float(np.mean(mask.crop(roi, copy=False).data != 0))
        self.best = max(self.best, fraction)
        return fraction >= self.min_masked

    def describe_failure(self) -> str:
        return (
            f"had less than {self.min_masked:.0%} of their voxels annotated and inside the mask ({self.best:.0%} at "
            "most): lower min_masked, or make samples smaller"
        )
