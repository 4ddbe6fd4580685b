"""A bundle: the files of one run, written whole or not at all."""

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path


def write_bundle(folder: str | Path, files: Mapping[str, bytes]) -> None:
    """Write ``files`` (name -> content) into ``folder``, which is made if it is missing.

    Every file is written aside first and renamed when all are complete, so an interruption or a full disk leaves
    no half-written file and no old file lost. Raises OSError if the folder cannot be written.
    """
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".fedjoule-", dir=target) as aside:
        for name, content in files.items():
            with open(Path(aside) / name, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        for name in files:
            os.replace(Path(aside) / name, target / name)
