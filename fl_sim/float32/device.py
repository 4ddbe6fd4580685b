"""Where torch computes, and how: one thread, and on a GPU floats of full precision."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from profiler.names import printable


def open_device(name: str) -> torch.device:
    """Return torch's device of that name, such as ``cpu``, ``cuda`` or ``cuda:1``.

    Raises ValueError for a name that torch does not know and for a device that this machine does not have.
    """
    try:
        device = torch.device(name)
        torch.empty(1, device=device).item()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = printable(str(error).partition("\n")[0], 120)
        message = f"device {printable(name, 40)!r} cannot be used ({reason}); use cpu, or install a torch that has it"
        raise ValueError(message) from error
    return device


@contextmanager
def alone(device: torch.device) -> Iterator[None]:
    """Compute with one thread, and convolutions on a GPU without TF32 and always the same way; then all is as before.

    One client's batch is too small to be shared by threads; processes are for other cores.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        if device.type == "cuda":
            with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False):
                yield
        else:
            yield
    finally:
        torch.set_num_threads(before)
