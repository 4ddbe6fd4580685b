"""Ctrl-C while a library is being imported: kept until the import is done, because imports do not survive it.

A ``KeyboardInterrupt`` raised inside an import is swallowed by some libraries (the run goes on as if nothing was
pressed), half-loads others, and in the start-up code of a compiled one it can abort the whole process.
"""

import signal
import threading
from types import FrameType

_RETRY_S = 0.02


def keep_until_imported() -> None:
    """Install the handler of SIGINT that raises ``KeyboardInterrupt`` as soon as no import is under way.

    Does nothing where there is no interval timer, or outside the main thread: Python's own handler stays.
    """
    if hasattr(signal, "setitimer") and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, _interrupt)
        signal.signal(signal.SIGALRM, _interrupt)


def end_by(*numbers: int) -> None:
    """Let these signals end a run as Ctrl-C does: what was changed is put back."""
    if threading.current_thread() is threading.main_thread():
        for number in numbers:
            signal.signal(number, _interrupt)


def _interrupt(_number: int, frame: FrameType | None) -> None:
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            signal.setitimer(signal.ITIMER_REAL, _RETRY_S)
            return
        frame = frame.f_back
    raise KeyboardInterrupt
