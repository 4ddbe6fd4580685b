"""The programs on an emulated phone's PATH: stubs of Android's, the demo trainer, and a sleep on the phone's clock."""

import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

_HERE = Path(__file__).parent


def of_a_phone() -> dict[str, str]:
    """Return the text of each program by its name; all are shell scripts."""
    stubs = {stub.name: stub.read_text() for stub in sorted((_HERE / "system_bin").iterdir())}
    trainer = shlex.join([sys.executable, "-S", "-E", str(_HERE / "demo_trainer.py")])
    stubs["demo_trainer"] = f'#!/bin/sh\nFEDJOULE_ROOT=${{0%/system/bin/*}} exec {trainer} "$@"\n'
    return stubs


def sleep(speed: float, cost_s: float = 0.0) -> str:
    """Return a sleep that takes its argument in phone seconds, ``speed`` of them in one of ours.

        time = argument / speed - cost

    ``cost_s`` of our time is what starting it takes: at a high speed that is no longer nothing.
    """
    text = _SLEEP.replace("@SLEEP@", shutil.which("sleep") or "/bin/sleep")
    return text.replace("@MILLI@", str(round(speed * 1000))).replace("@COST@", str(round(cost_s * 1e6)))


def start_s(program: Path, tries: int = 5) -> float:
    """Return how long a program that has nothing to do takes here, at its quickest."""
    times = []
    for _ in range(tries):
        begin_s = time.monotonic()
        subprocess.run([program, "0"], check=True, stdin=subprocess.DEVNULL)
        times.append(time.monotonic() - begin_s)
    return min(times)


# The argument in microseconds, divided by the speed, by the shell's own arithmetic; a second is added and taken away
# so that there always are six digits. What is no plain number is the real sleep's affair.
_SLEEP = """#!/bin/sh
whole=${1%%.*}
case $1 in *.*) part=${1#*.} ;; *) part= ;; esac
case $whole$part in
    *[!0-9]* | '') exec @SLEEP@ "$@" ;;
esac
part=${part}000000
rest=${part#??????}
part=${part%"$rest"}
while :; do case $part in 0?*) part=${part#0} ;; *) break ;; esac; done
while :; do case $whole in 0?*) whole=${whole#0} ;; *) break ;; esac; done
real=$(( (${whole:-0} * 1000000 + part) * 1000 / @MILLI@ - @COST@ ))
if [ $real -lt 0 ]; then real=0; fi
real=$((real + 1000000))
tail=${real#"${real%??????}"}
exec @SLEEP@ $((real / 1000000 - 1)).$tail
"""
