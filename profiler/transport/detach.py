"""A script that goes on after the link is closed."""

import re
import shlex

from profiler.names import printable
from profiler.transport.link import Transport
from profiler.transport.paths import checked_path

_LOOKS_PER_S = 10
_PID = re.compile(r"[0-9]{1,10}")


def start_detached(transport: Transport, script_path: str, pid_path: str, timeout_s: float = 10.0) -> int:
    """Start the shell script at ``script_path`` on the device and return its process number.

    It survives the end of the link: it ignores the hang-up that ends everything started over ADB, it is in a session
    of its own where the device has ``setsid``, and holds on to nothing of the link. It writes its number to
    ``pid_path`` when it starts; a LinkLost leaves open whether it did, and that file tells. Raises OSError if it did
    not start within ``timeout_s``.
    """
    finished = transport.run(launch_command(script_path, pid_path, timeout_s), timeout_s=timeout_s + 10.0)
    words = finished.text.strip()
    if finished.code != 0 or not _PID.fullmatch(words):
        message = f"{script_path} did not start on {transport.name} ({printable(words) or finished.code}); is it there?"
        raise OSError(message)
    return int(words)


def launch_command(script_path: str, pid_path: str, timeout_s: float) -> str:
    """Return the shell command that starts the script and prints its process number.

    ``trap '' HUP`` is inherited by all that follows. The number is written aside and moved, so that nobody reads half.
    """
    script, pid = shlex.quote(checked_path(script_path)), shlex.quote(checked_path(pid_path))
    body = shlex.quote(f"echo $$ >{pid}.new && mv -f {pid}.new {pid} && exec sh {script}")
    looks = max(1, round(timeout_s * _LOOKS_PER_S))
    return (
        f"[ -r {script} ] || {{ echo no such script; exit 1; }}; "
        f"rm -f {pid}; trap '' HUP; own=; command -v setsid >/dev/null 2>&1 && own=setsid; "
        f"$own sh -c {body} </dev/null >/dev/null 2>&1 & "
        # a device whose sleep takes no fractions looks once a second, and no longer
        f"i=0; while [ ! -s {pid} ] && [ $i -lt {looks} ]; do "
        f"if sleep 0.1 2>/dev/null; then i=$((i+1)); else sleep 1; i=$((i+{_LOOKS_PER_S})); fi; done; cat {pid}"
    )
