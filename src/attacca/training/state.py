"""Everything that changes while a network learns, and that a checkpoint holds."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.nn.parallel import DistributedDataParallel

from attacca.architectures import create_architecture
from attacca.config.training import TrainingConfig
from attacca.errors import CheckpointError, TrainingError
from attacca.training.device import Place
from attacca.training.job import TrainingJob
from attacca.training.pipeline import Batch
from attacca.training.schedule import WeightAverage, create_optimizer, learning_rate

# The loss of so many first iterations is the measure of divergence, and the loss is smoothed over about as
# many.
_FIRST_ITERATIONS = 20


class TrainingState:
    """Network, optimiser, averaged weights, random states and iteration.

    Args:
        job: task, architecture, settings and seed.
        place: device and arithmetic.
        dims: spatial axes of the volumes.
        num_in_channels: channels of the raw data.
        resumed: whether a checkpoint will be loaded, so that a pretrained one need not be.
    """

    def __init__(
        self, job: TrainingJob, place: Place, dims: int, num_in_channels: int, resumed: bool = False
    ) -> None:
        from attacca.tasks import create_task

        self.place = place
        self.config: TrainingConfig = job.training
        torch.manual_seed(job.seed)
        task_config = job.task.learned_task if resumed else job.task
        self.task = create_task(task_config)
        architecture = create_architecture(job.architecture, dims, num_in_channels)
        self.model: Any = self.task.create_model(architecture)
        # What came from a file, where a pretrained network starts; None for all others.
        self.initial_weights: Any = getattr(self.task, "report", None)
        self.format = torch.channels_last_3d if dims == 3 else torch.channels_last
        move: Any = self.model.to
        move(device=place.device, memory_format=self.format)
        # The chain of network and head has every weight once; the model names them twice.
        self.chain: torch.nn.Module = self.model.chain
        self.optimizer = create_optimizer(self.config.optimizer, self.chain)
        decay = self.config.ema_decay
        self.average = WeightAverage(self.chain, decay) if decay is not None else None
        self.scaler = torch.amp.GradScaler(place.device.type, enabled=place.dtype == torch.float16)
        self.iteration = 0
        self.first_loss: float | None = None
        self.smooth_loss: float | None = None
        self.forward: Any = self.chain
        self.model.train()

    def distribute(self) -> None:
        """Average gradients over all processes that train together, from now on."""
        if self.place.ranks > 1:
            devices = [self.place.device] if self.place.device.type == "cuda" else None
            self.forward = DistributedDataParallel(self.chain, device_ids=devices)

    def step(self, batch: Batch) -> tuple[float, float]:
        """Learn from a batch; returns the loss before the step, and the learning rate.

        Raises:
            TrainingError: the loss is not finite, or far above what it was in the beginning; nothing was
            learned.
        """
        rate = learning_rate(self.config.optimizer, self.iteration, self.config.iterations)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        raw, target, weight = (self.place.tensor(batch[name]) for name in ("raw", "target", "weight"))
        raw = raw.contiguous(memory_format=self.format)
        self.optimizer.zero_grad(set_to_none=True)
        with self.place.autocast():
            loss = self.task.loss.compute(self.forward(raw), target, weight)
        value = float(loss.detach())
        self._watch(value)
        self.scaler.scale(loss).backward()
        self.scaler.unscale_(self.optimizer)
        if self.config.optimizer.gradient_clip is not None:
            torch.nn.utils.clip_grad_norm_(self.chain.parameters(), self.config.optimizer.gradient_clip)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        if self.average is not None:
            self.average.update(self.chain, self.iteration)
        self.iteration += 1
        return value, rate

    def _watch(self, loss: float) -> None:
        number = self.iteration + 1
        if not math.isfinite(loss):
            raise TrainingError(
                f"the loss is {loss} at iteration {number}. If raw data are floating point, look for nan and "
                "infinity in them; a smaller optimizer.learning_rate, or precision: float32, may help"
            )
        limit = self.config.divergence_factor
        count = min(number, _FIRST_ITERATIONS)
        if self.smooth_loss is None:
            self.smooth_loss = loss
        else:
            self.smooth_loss += (loss - self.smooth_loss) / count
        if number <= _FIRST_ITERATIONS:
            self.first_loss = self.smooth_loss
        elif self.first_loss is not None and self.smooth_loss > limit * self.first_loss:
            raise TrainingError(
                f"training diverges: the smoothed loss is {self.smooth_loss:.4g} at iteration {number}, and "
                f"was {self.first_loss:.4g} in the beginning. Use a smaller optimizer.learning_rate"
            )

    @contextmanager
    def averaged_weights(self) -> Iterator[None]:
        """The model has its averaged weights for a while."""
        if self.average is None:
            yield
            return
        own = {name: value.detach().clone() for name, value in self.chain.state_dict().items()}
        self.chain.load_state_dict(self.average.state)
        try:
            yield
        finally:
            self.chain.load_state_dict(own)

    def content(self) -> dict[str, Any]:
        """What a checkpoint holds of this."""
        cuda = self.place.device.type == "cuda"
        return {
            "model": self.chain.state_dict(),
            "ema": self.average.state if self.average is not None else None,
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "random": {
                "torch": torch.get_rng_state(),
                "cuda": torch.cuda.get_rng_state(self.place.device) if cuda else None,
            },
            "iteration": self.iteration,
            "loss": {"first": self.first_loss, "smooth": self.smooth_loss},
        }

    def restore(self, content: dict[str, Any]) -> None:
        """Go back to what a checkpoint holds.

        Raises:
            CheckpointError: it does not fit.
        """
        try:
            self.chain.load_state_dict(content["model"])
            self.optimizer.load_state_dict(content["optimizer"])
            if self.average is not None:
                for name, value in content["ema"].items():
                    self.average.state[name].copy_(value)
            self.scaler.load_state_dict(content["scaler"])
        except (RuntimeError, ValueError, KeyError, AttributeError) as error:
            raise CheckpointError(f"the checkpoint does not fit the network: {error}") from error
        torch.set_rng_state(content["random"]["torch"])
        if self.place.device.type == "cuda" and content["random"]["cuda"] is not None:
            torch.cuda.set_rng_state(content["random"]["cuda"], self.place.device)
        self.iteration = int(content["iteration"])
        self.first_loss = content["loss"]["first"]
        self.smooth_loss = content["loss"]["smooth"]
