"""Images as torch is fed them: standardised floats, a piece of a client at a time."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch

from fl_sim.data.dataset import Images
from fl_sim.task import Indices, LocalTask

_PIECE_BYTES = 1 << 25  # of floats at a time, so that one client may hold a whole data set


@dataclass(frozen=True, eq=False)
class Feed:
    """Images with their ``table`` of floats (``fl_sim.data.pixels.float_table``), bound for a device."""

    images: Images
    table: npt.NDArray[np.float32]
    device: torch.device

    @cached_property
    def worth(self) -> torch.Tensor:
        """What every pixel value is worth, channel after channel, on the device."""
        return torch.tensor(self.table, device=self.device).flatten()

    @cached_property
    def channel(self) -> torch.Tensor:
        """Where each channel's values begin in ``worth``."""
        return torch.arange(0, len(self.worth), self.table.shape[1], dtype=torch.int32, device=self.device)

    def take(self, places: Indices) -> tuple[torch.Tensor, torch.Tensor]:
        """Return images float32 [n, c, h, w], channels last in memory, and their labels int64 [n].

        The pixels are looked up on the device; ``fl_sim.data.pixels.floats`` is the slow twin.
        """
        pixels = torch.from_numpy(self.images.pixels[places]).to(self.device).int()
        if len(self.channel) > 1:
            pixels += self.channel
        x = self.worth.index_select(0, pixels.flatten()).view(pixels.shape)
        y = torch.from_numpy(self.images.labels[places].astype(np.int64))
        return x.permute(0, 3, 1, 2), y.to(self.device)

    def pieces(self, task: LocalTask) -> Iterator[tuple[int, int]]:
        """Yield (first, end) of batches whose floats fit into memory together: all of a client's, as a rule."""
        most = max(1, _PIECE_BYTES // (4 * int(np.prod(self.images.pixels.shape[1:]))))
        first, bounds = 0, task.bounds
        while first < task.steps:
            end = int(np.searchsorted(bounds, bounds[first] + most, side="right")) - 1
            end = max(end, first + 1)
            yield first, end
            first = end
