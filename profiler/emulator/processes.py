"""What an emulated phone has running on this machine: found by a mark in the environment, and ended."""

import contextlib
import ctypes
import os
import signal
import sys
import time
from pathlib import Path

MARK = "FEDJOULE_PHONE_MARK"

_PROC = Path("/proc")
_PR_CAPBSET_DROP = 24
_CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH = 1, 2


def _numbers() -> list[int]:
    return [int(name) for name in os.listdir(_PROC) if name.isdigit()]


def marked(mark: str) -> list[int]:
    """Return the processes that were started with ``mark``, and all their children, wherever they have moved since."""
    wanted = f"{MARK}={mark}".encode()
    found = []
    for pid in _numbers():
        with contextlib.suppress(OSError):
            if wanted in (_PROC / str(pid) / "environ").read_bytes().split(b"\0"):
                found.append(pid)
    return found


def end_all(mark: str, timeout_s: float = 5.0) -> None:
    """Kill every process with ``mark`` and wait until none is left. Raises TimeoutError if one cannot be killed."""
    until_s = time.monotonic() + timeout_s
    while left := marked(mark):
        for pid in left:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        if time.monotonic() > until_s:
            message = f"processes {left} of the emulated phone could not be ended; end them by hand"
            raise TimeoutError(message)
        time.sleep(0.002)


def hang_up(session: int) -> None:
    """Send SIGHUP to every process of a session, as a terminal does when its line goes away."""
    for pid in _numbers():
        with contextlib.suppress(OSError, ValueError, IndexError):
            # The name in brackets may hold blanks and brackets; after it come state, parent, group, session.
            if int((_PROC / str(pid) / "stat").read_bytes().rpartition(b")")[2].split()[3]) == session:
                os.kill(pid, signal.SIGHUP)


def obey_file_modes() -> None:
    """Make what this thread starts from now on obey file modes even if we are root, as a phone's shell must.

    Takes the capabilities to override them from the thread's bounding set. Does nothing for other users.
    """
    if sys.platform == "linux" and os.geteuid() == 0:
        libc = ctypes.CDLL(None, use_errno=True)
        for capability in (_CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH):
            libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)
