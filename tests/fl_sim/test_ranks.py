from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

import torch

from fl_sim.ranks import Together


class Gone:
    """A group whose other process has ended."""

    def all_reduce(self, _numbers: Any) -> None:
        message = "[gloo/transport/tcp/pair.cc:547] Connection closed by peer"
        raise RuntimeError(message)


def test_a_process_whose_fellow_has_ended_says_so_in_one_line() -> None:
    ranks = object.__new__(Together)
    ranks._torch, ranks._dist, ranks.rank, ranks.count = torch, Gone(), 1, 2
    with pytest.raises(ConnectionError, match="process 1 of 2: another process of this run has ended") as raised:
        ranks.add_up(np.zeros(3, dtype=np.int64))
    assert raised.value.strerror is None  # so that the command line prints the message as it is
