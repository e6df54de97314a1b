"""One training by several processes: what each does alone, and what they say to each other.

``torchrun`` and ``accelerate launch`` start one process for each device and number them in the environment. Every one
makes the same call, reads its own share of the sequences and takes its share of each step's tokens. What they need of
each other is summed over all of them:

    counts of what fired and sums of squares       once a step and learner, before the dead are counted
    gradients, weighted by their tokens            once a step and learner
    activations that all need                      at the start and at the end

So all hold the same weights, and those that one process would find alone, up to rounding.
"""

import atexit
import os
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as distributed
from torch import Tensor

PATIENCE = timedelta(days=1)
"""How long one waits for the others: the first of them may have a long text to read."""


@dataclass(frozen=True, slots=True)
class Alone:
    """The only process."""

    rank: int = 0
    """Its number."""
    size: int = 1
    """How many there are."""

    def total(self, tensor: Tensor) -> Tensor:
        """The sum over all processes; the tensor may be overwritten."""
        return tensor

    def mean(self, gradients: dict[str, Tensor], _: float) -> dict[str, Tensor]:
        """The mean over all processes, each weighted by its share of the tokens."""
        return gradients

    def all_go_on(self, mine: bool) -> bool:
        """Whether no process wants to end."""
        return mine

    def wait(self) -> None:
        """Until all processes have come here."""


@dataclass(frozen=True, slots=True)
class Together:
    """One of several processes."""

    rank: int
    """Its number; the first one, 0, writes and reports."""
    size: int
    """How many there are."""
    device: torch.device
    """Where this one computes."""

    def total(self, tensor: Tensor) -> Tensor:
        """The sum over all processes; the tensor may be overwritten."""
        distributed.all_reduce(tensor)
        return tensor

    def mean(self, gradients: dict[str, Tensor], share: float) -> dict[str, Tensor]:
        """The mean over all processes, each weighted by its share of the tokens."""
        flat = self.total(torch.cat([gradient.flatten() for gradient in gradients.values()]).mul_(share))
        pieces = torch.split(flat, [gradient.numel() for gradient in gradients.values()])
        return {
            name: piece.view_as(gradient) for (name, gradient), piece in zip(gradients.items(), pieces, strict=True)
        }

    def all_go_on(self, mine: bool) -> bool:
        """Whether no process wants to end."""
        return float(self.total(torch.tensor(float(mine), device=self.device))) == self.size

    def wait(self) -> None:
        """Until all processes have come here."""
        self.all_go_on(True)


Company = Alone | Together
"""Who trains."""
ALONE = Alone()
"""The usual case."""


def company_on(device: torch.device) -> Company:
    """The processes that this one was started with, by ``torchrun`` or the like; alone otherwise."""
    if number_of_processes() == 1:
        return Alone()
    if not distributed.is_initialized():
        distributed.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=PATIENCE)
        atexit.register(_leave)
    return Together(distributed.get_rank(), distributed.get_world_size(), device)


def number_of_processes() -> int:
    """How many processes were started together."""
    started = {"WORLD_SIZE", "RANK", "MASTER_ADDR", "MASTER_PORT"} <= set(os.environ)
    return int(os.environ["WORLD_SIZE"]) if started else 1


def is_first() -> bool:
    """Whether this process is the one that writes and reports."""
    return number_of_processes() == 1 or int(os.environ["RANK"]) == 0


def own_device() -> str | None:
    """The accelerator that this process shall use; None where it was started alone or there is none."""
    if number_of_processes() == 1 or not torch.cuda.is_available():
        return None
    return f"cuda:{os.environ.get('LOCAL_RANK', '0')}"


def _leave() -> None:
    if distributed.is_initialized():
        distributed.destroy_process_group()
