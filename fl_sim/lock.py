"""A lock on a run's folder, so that two processes do not train one run. It leaves no file behind."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from profiler.names import printable

if sys.platform != "win32":
    import fcntl


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a folder, which is made if need be; the system lets go of it when the process ends, however it ends.

    Raises BlockingIOError if another process, or somebody else in this one, holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if sys.platform == "win32":  # which has no such locks
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            message = f"{printable(folder, 200)} is being trained by another process; wait for it, or stop it first"
            raise BlockingIOError(message) from error
        except OSError:  # a file system without locks
            pass
        yield
    finally:
        os.close(handle)
