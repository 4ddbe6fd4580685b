"""The processes of a run: this one alone, or those that torchrun started, which share the clients of every round."""

import os
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from fl_sim.task import LocalTask


class Ranks(Protocol):
    """``rank`` of ``count`` processes. All sum whole numbers, so the result does not depend on their number."""

    rank: int
    count: int

    def add_up(self, numbers: npt.NDArray[np.int64]) -> None:
        """Replace ``numbers`` by their sum over all processes."""
        ...

    def close(self) -> None:
        """Leave the group."""
        ...


class Alone:
    """One process."""

    rank, count = 0, 1

    def add_up(self, numbers: npt.NDArray[np.int64]) -> None:
        """Leave the numbers as they are."""

    def close(self) -> None:
        """Do nothing."""


class Together:
    """The processes of torchrun, through torch.distributed with gloo: sums are of int64 and on the CPU."""

    def __init__(self) -> None:
        try:
            import torch
            import torch.distributed as dist
        except ImportError as error:
            message = "several processes need torch: pip install 'fedjoule[train]'"
            raise ValueError(message) from error
        self._torch: Any = torch
        self._dist: Any = dist
        dist.init_process_group("gloo")
        self.rank, self.count = dist.get_rank(), dist.get_world_size()

    def add_up(self, numbers: npt.NDArray[np.int64]) -> None:
        """Replace ``numbers`` by their sum over all processes: one all-reduce."""
        try:
            self._dist.all_reduce(self._torch.from_numpy(numbers))
        except RuntimeError as error:  # gloo's word for a closed connection
            message = f"process {self.rank} of {self.count}: another process of this run has ended; it says why"
            raise ConnectionError(message) from error

    def close(self) -> None:
        """Leave the group."""
        if self._dist.is_initialized():
            self._dist.destroy_process_group()


def open_ranks() -> Ranks:
    """Return the processes that torchrun started, or this one alone."""
    return Together() if int(os.environ.get("WORLD_SIZE", "1") or 1) > 1 else Alone()


def shares(tasks: Sequence[LocalTask], count: int) -> list[list[int]]:
    """Return which tasks each process does: the heaviest first, each to who has least so far."""
    loads, found = [0] * count, [list[int]() for _ in range(count)]
    for place in sorted(range(len(tasks)), key=lambda i: (-len(tasks[i].indices), i)):
        rank = loads.index(min(loads))
        loads[rank] += len(tasks[place].indices)
        found[rank].append(place)
    return [sorted(share) for share in found]
