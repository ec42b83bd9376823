"""State of a training, which a checkpoint stores: network, optimizer, averaged weights, random numbers."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.nn.parallel import DistributedDataParallel

from attacca.architectures import create_architecture
from attacca.config.training import TrainingConfig
from attacca.errors import CheckpointError, TrainingError
from attacca.losses import compute_loss
from attacca.model import Ensemble
from attacca.tasks import PretrainedReport, create_task
from attacca.training.job import TrainingJob
from attacca.training.member_threads import MemberThreads
from attacca.training.optimization import WeightAverage, compute_learning_rate, create_optimizer
from attacca.training.pipeline import Batch
from attacca.training.training_device import TrainingDevice

# Number of initial iterations whose loss is the reference for divergence, and over which the loss is smoothed.
_FIRST_ITERATIONS = 20


class TrainingState:
    """Network, optimizer, averaged weights, random states and iteration.

    Args:
        job: task, architecture, settings and seed.
        device: device and arithmetic.
        dims: number of spatial axes of the volumes.
        num_in_channels: channels of the raw data.
        resumed: a checkpoint will be loaded, so pretrained weights are not needed.
    """

    def __init__(
        self, job: TrainingJob, device: TrainingDevice, dims: int, num_in_channels: int, resumed: bool = False
    ) -> None:
        self.device = device
        self.config: TrainingConfig = job.training
        torch.manual_seed(job.seed)
        task_config = job.task.learned_task if resumed else job.task
        self.task = create_task(task_config)
        architecture = create_architecture(job.architecture, dims, num_in_channels)
        self.model: Any = self.task.create_model(architecture)
        # Report of the pretrained weights; None for networks with random initial weights.
        self.initial_weights: PretrainedReport | None = self.task.report
        self.format = torch.channels_last_3d if dims == 3 else torch.channels_last
        move: Any = self.model.to
        move(device=device.device, memory_format=self.format)
        # The chain of network and head names each weight once, the model twice.
        self.chain: torch.nn.Module = self.model.chain
        self.optimizer = create_optimizer(self.config.optimizer, self.chain)
        decay = self.config.ema_decay
        self.average = WeightAverage(self.chain, decay) if decay is not None else None
        self.scaler = torch.amp.GradScaler(device.device.type, enabled=device.dtype == torch.float16)
        self.iteration = 0
        self.first_loss: float | None = None
        self.smooth_loss: float | None = None
        self.forward: Any = self.chain
        self._member_threads: MemberThreads | None = None
        if device.device.type == "cpu" and device.ranks == 1 and isinstance(self.chain, Ensemble):
            self._member_threads = MemberThreads(self.chain.members, self.config.torch_threads)
        self.model.train()

    def distribute(self) -> None:
        """Average gradients over all processes that train together in later steps."""
        if self.device.ranks > 1:
            devices = [self.device.device] if self.device.device.type == "cuda" else None
            self.forward = DistributedDataParallel(self.chain, device_ids=devices)

    def step(self, batch: Batch) -> tuple[float, float]:
        """Make an optimizer step; return the loss before the step, and the learning rate.

        Args:
            batch: of the loader.

        Raises:
            TrainingError: the loss or its gradient is not finite, or the loss is far above that of the initial iterations;
                the weights stay unchanged.
        """
        rate = compute_learning_rate(self.config.optimizer, self.iteration, self.config.iterations)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        raw, target, weight = (
            self.device.copy_to_device(batch[name]) for name in ("raw", "target", "weight")
        )
        raw = raw.contiguous(memory_format=self.format)
        self.optimizer.zero_grad(set_to_none=True)
        value = self._descend(raw, target, weight)
        self._check_loss(value)
        self.scaler.unscale_(self.optimizer)
        limit = self.config.optimizer.gradient_clip
        norm = torch.nn.utils.clip_grad_norm_(self.chain.parameters(), math.inf if limit is None else limit)
        # The scaler of float16 leaves out steps with infinite gradients, and scales the next ones less.
        if not self.scaler.is_enabled() and not math.isfinite(float(norm)):
            raise TrainingError(
                f"the gradient is {float(norm)} at iteration {self.iteration + 1}, and the loss is {value:.4g}. If the loss "
                "is an extension, look for a square root or logarithm of 0; otherwise use a smaller "
                "optimizer.learning_rate, or precision: float32"
            )
        self.scaler.step(self.optimizer)
        self.scaler.update()
        if self.average is not None:
            self.average.update(self.chain, self.iteration)
        self.iteration += 1
        return value, rate

    def _descend(self, raw: torch.Tensor, target: torch.Tensor, weight: torch.Tensor) -> float:
        """Return the loss of a batch, and set the gradients of the weights."""

        def compute(network: Any) -> torch.Tensor:
            with self.device.autocast():
                return compute_loss(self.task.loss, network(raw), target, weight)

        if self._member_threads is not None:
            return float(self._member_threads.descend(compute))
        loss = compute(self.forward)
        self.scaler.scale(loss).backward()
        return float(loss.detach())

    def _check_loss(self, loss: float) -> None:
        number = self.iteration + 1
        if not math.isfinite(loss):
            raise TrainingError(
                f"the loss is {loss} at iteration {number}. Check floating point raw data for NaN and infinity; otherwise "
                "use a smaller optimizer.learning_rate, or precision: float32"
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
                f"was {self.first_loss:.4g} in the first iterations. Use a smaller optimizer.learning_rate"
            )

    @contextmanager
    def use_averaged_weights(self) -> Iterator[None]:
        """Give the model its averaged weights inside the context."""
        if self.average is None:
            yield
            return
        own = {name: value.detach().clone() for name, value in self.chain.state_dict().items()}
        self.chain.load_state_dict(self.average.state)
        try:
            yield
        finally:
            self.chain.load_state_dict(own)

    def collect_content(self) -> dict[str, Any]:
        """Return the state as the content of a checkpoint."""
        cuda = self.device.device.type == "cuda"
        return {
            "model": self.chain.state_dict(),
            "ema": self.average.state if self.average is not None else None,
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "random": {
                "torch": torch.get_rng_state(),
                "cuda": torch.cuda.get_rng_state(self.device.device) if cuda else None,
            },
            "iteration": self.iteration,
            "loss": {"first": self.first_loss, "smooth": self.smooth_loss},
        }

    def restore(self, content: dict[str, Any]) -> None:
        """Load the state from the content of a checkpoint.

        Raises:
            CheckpointError: the content does not fit the network.
        """
        try:
            self.chain.load_state_dict(content["model"])
            self.optimizer.load_state_dict(content["optimizer"])
            if self.average is not None:
                for name, value in content["ema"].items():
                    self.average.state[name].copy_(value)
            self.scaler.load_state_dict(content["scaler"])
        except (RuntimeError, ValueError, KeyError, AttributeError) as error:
            raise CheckpointError(
                f"the checkpoint does not fit the network: {error}; delete it, or train into another directory"
            ) from error
        torch.set_rng_state(content["random"]["torch"])
        if self.device.device.type == "cuda" and content["random"]["cuda"] is not None:
            torch.cuda.set_rng_state(content["random"]["cuda"], self.device.device)
        self.iteration = int(content["iteration"])
        self.first_loss = content["loss"]["first"]
        self.smooth_loss = content["loss"]["smooth"]
