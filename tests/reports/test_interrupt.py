"""Ctrl-C in the middle of an import waits for its end."""

import importlib
import signal
import sys
import time
from pathlib import Path

import pytest

from reports.interrupt import keep_until_imported

_MODULE = """
import os, signal, time
os.kill(os.getpid(), signal.SIGINT)
time.sleep(0.1)
whole = True
"""


def _import_and_wait() -> None:
    importlib.import_module("slow_to_import")
    time.sleep(5)


def test_an_interrupt_waits_for_the_end_of_an_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "slow_to_import.py").write_text(_MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    before = signal.getsignal(signal.SIGINT)
    keep_until_imported()
    try:
        with pytest.raises(KeyboardInterrupt):
            _import_and_wait()
        assert sys.modules["slow_to_import"].whole
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)
        sys.modules.pop("slow_to_import", None)
