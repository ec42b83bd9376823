"""Fewer batches without anything in them."""

from abc import abstractmethod

import gunpowder as gp
import numpy as np
from funlib.geometry import Roi

from attacca.errors import TrainingError
from attacca.gp.randomness import generator
from attacca.gp.seeds import with_seed


class _RejectUntil(gp.BatchFilter):
    """Asks upstream, each time with new random numbers, until a batch is accepted."""

    def __init__(self, key: gp.ArrayKey | None, p: float, max_tries: int, name: str) -> None:
        self.key = key
        self.p = p
        self.max_tries = max_tries
        self.volume = name

    def setup(self) -> None:
        if self.key is None or self.key not in self.spec:
            raise ValueError(
                f"{type(self).__name__} needs an array to look at; {self.key} is not provided upstream"
            )

    @abstractmethod
    def accepts(self, batch: gp.Batch) -> bool:
        """Whether a batch is good enough."""

    @abstractmethod
    def failure(self) -> str:
        """What was wrong with all batches, as the end of a sentence."""

    def region(self, request: gp.BatchRequest) -> Roi:
        """Where the array is looked at, if it is not requested."""
        return request.get_total_roi()

    def provide(self, request: gp.BatchRequest) -> gp.Batch:
        reject = self.p >= 1 or generator().random_sample() < self.p
        wanted = request.copy()
        if self.key not in wanted:
            wanted[self.key] = gp.ArraySpec(roi=self.region(request))
        upstream = self.get_upstream_provider()
        for _ in range(self.max_tries if reject else 1):
            # A request with a seed gives the same batch again and again: each try has a seed of its own,
            # drawn from
            # the numbers that the request's seed started.
            seed = int(generator().randint(0, 2**31)) if request.is_deterministic() else None
            state = generator().get_state()
            batch = upstream.request_batch(with_seed(wanted, seed))
            generator().set_state(state)
            if not reject or self.accepts(batch):
                if self.key not in request:
                    del batch[self.key]
                return batch
        where = f" of volume {self.volume}" if self.volume else ""
        raise TrainingError(f"{self.max_tries} random samples in a row{where} {self.failure()}")


class RejectIfEmpty(_RejectUntil):
    """With probability ``p``, asks for batches until one is not all background.

    Args:
        gt: the labels to look at.
        p: probability that an empty batch is rejected.
        background: the label that counts as empty.
        max_tries: batches to try before giving up.
        name: name of the volume, for the message.

    Raises:
        TrainingError: on a request, if ``max_tries`` batches in a row were empty.
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

    def failure(self) -> str:
        return (
            f"held nothing but background ({self.background}) in {self.gt}: are these the right labels, and "
            f"is the "
            "sampled region labelled?"
        )


class RejectIfMasked(_RejectUntil):
    """Asks for batches until one has enough voxels within the mask.

    Args:
        mask: non-zero where voxels count.
        min_masked: smallest fraction of such voxels.
        window: part of the request that is looked at; all of the mask that is requested without it.
        max_tries: batches to try before giving up.
        name: name of the volume, for the message.

    Raises:
        TrainingError: on a request, if ``max_tries`` batches in a row had too few.
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

    def region(self, request: gp.BatchRequest) -> Roi:
        return self.window if self.window is not None else super().region(request)

    def accepts(self, batch: gp.Batch) -> bool:
        mask = batch[self.key]
        roi = mask.spec.roi if self.window is None else self.window.intersect(mask.spec.roi)
        fraction = float(np.mean(mask.crop(roi, copy=False).data != 0))
        self.best = max(self.best, fraction)
        return fraction >= self.min_masked

    def failure(self) -> str:
        return (
            f"had less than {self.min_masked:.0%} of their voxels labelled and within the mask "
            f"({self.best:.0%} at "
            "most): lower min_masked, or make samples smaller"
        )
