"""What is too large for a machine is refused before a size of 32 bits starts from 0 again."""

import shutil
import subprocess

import pytest

from profiler.native.build import built
from profiler.native.target import TARGETS

QEMU = "qemu-arm-static"
# 2^32 weights, 2^32 bytes of activations, and one below each that are still too many.
TOO_LARGE = [
    ("256x256x1:fc65536", 1, 2, "model: a layer has more weights than fit here"),
    ("256x256x1:fc1025", 1, 2, "model: a layer has more weights than fit here"),
    ("64x64x1:conv4096k1,fc2", 64, 4, "memory: a layer is too large"),
    ("64x64x1:conv4096k1,fc2", 63, 4, "memory: a layer is too large"),
]


@pytest.mark.parametrize("precision", ["fp32", "int8"])
@pytest.mark.parametrize(("model", "batch", "code", "reason"), TOO_LARGE)
def test_32_bit_sizes_do_not_wrap(model: str, batch: int, code: int, reason: str, precision: str) -> None:
    if shutil.which(QEMU) is None:
        pytest.skip(f"{QEMU} is not installed (Debian: qemu-user-static)")
    runner = str(built("runner", TARGETS["armv7-android"]))
    words = ["--model", model, "--precision", precision, "--batch-size", str(batch), "--batches", "1"]
    done = subprocess.run([QEMU, runner, *words], capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stdout) == (code, ""), done.stderr
    assert reason in done.stderr
