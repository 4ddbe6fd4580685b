"""A peer's own environment: a venv under build/peers with the versions of its requirements file, made once."""

import hashlib
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
BUILD = HERE.parents[1] / "build/peers"
PEERS = ("pfl", "flower", "fedjax")


def python(name: str) -> Path:
    """Return the interpreter of a peer's environment, made now where it is missing or for other versions.

    An empty name is the Python that runs this. Raises RuntimeError with pip's reason if it cannot be installed.
    """
    if not name:
        return Path(sys.executable)
    wanted = HERE / f"{name}.txt"
    stamp = hashlib.sha256(wanted.read_bytes() + sys.version.encode()).hexdigest()
    folder = BUILD / name
    if not (folder / stamp).exists():
        print(f"installing {name} into {folder}: some minutes and about 1 GB", file=sys.stderr)
        _call(sys.executable, "-m", "venv", "--clear", str(folder))
        _call(str(folder / "bin/python"), "-m", "pip", "install", "--quiet", "--requirement", str(wanted))
        (folder / stamp).touch()
    return folder / "bin/python"


def _call(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = [line for line in (done.stderr + done.stdout).splitlines() if line.strip()]
        errors = [line for line in lines if line.startswith("ERROR")] or lines or ["no message"]
        raise RuntimeError(errors[-1][:300])
