"""Threads that train the members of an ensemble at the same time."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import torch


class MemberThreads:
    """Computes losses and gradients of several networks at the same time, each in a thread of its own.

    Networks of an ensemble do not depend on each other, so that two of them keep two cores busy where the convolutions of
    one network do not. Gradients have the same bytes as those of one network after the other.

    Args:
        members: the networks.
        threads: number of threads altogether. If there are more than members, each member has an equal number of
            them for its convolutions.

    Examples:
        >>> members = [torch.nn.Linear(2, 1), torch.nn.Linear(2, 1)]
        >>> threads = MemberThreads(members, 2)
        >>> loss = threads.descend(lambda member: member(torch.ones(1, 2)).sum() ** 2)
        >>> loss.shape, members[1].weight.grad is not None
        (torch.Size([]), True)
    """

    def __init__(self, members: Iterable[torch.nn.Module], threads: int) -> None:
        self._members = list(members)
        self._pool = ThreadPoolExecutor(
            min(threads, len(self._members)),
            thread_name_prefix="member",
            # A new thread would use all cores for its convolutions.
            initializer=partial(torch.set_num_threads, max(1, threads // len(self._members))),
        )

    def descend(self, compute_loss: Callable[[torch.nn.Module], torch.Tensor]) -> torch.Tensor:
        """Return the mean loss of the members, and add its gradients to their weights.

        Args:
            compute_loss: returns the loss of a member, a tensor with one number. It is called in different threads.
        """

        def descend_one(member: torch.nn.Module) -> torch.Tensor:
            loss = compute_loss(member)
            (loss / len(self._members)).backward()
            return loss.detach()

        return torch.stack(list(self._pool.map(descend_one, self._members))).mean()
