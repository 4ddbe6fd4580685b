"""What adbd does with a file and the emulated phone does not."""

import io
import struct
from pathlib import Path

import pytest

from profiler.transport import sync
from profiler.transport.local import LocalTransport


class Spreading:
    """A sync service that, as adbd does, gives group and others what the owner may."""

    def __init__(self) -> None:
        self._heard = b""
        self._answer = b""

    def write(self, data: bytes, deadline: float) -> None:
        self._heard += data
        if data.startswith(b"DONE"):
            size = struct.unpack("<I", self._heard[4:8])[0]
            name, _, mode = self._heard[8 : 8 + size].decode().rpartition(",")
            target = Path(name)
            target.write_bytes(self._heard[16 + size : -8])
            bits = int(mode) & 0o777
            bits |= (bits >> 3) & 0o070
            target.chmod(bits | ((bits >> 3) & 0o007))
            self._answer = b"OKAY" + bytes(4)

    def read(self, most: int, deadline: float) -> bytes:
        data, self._answer = self._answer[:most], self._answer[most:]
        return data

    def has_answer(self) -> bool:
        return bool(self._answer)

    def close(self) -> None:
        return


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o700])
def test_a_file_for_its_owner_only_is_not_opened_to_others_by_the_way_it_was_sent(tmp_path: Path, mode: int) -> None:
    target = tmp_path / "secret"
    sync.push(Spreading, LocalTransport().run, io.BytesIO(b"content"), str(target), mode)
    assert target.read_bytes() == b"content"
    assert target.stat().st_mode & 0o777 == mode


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("open failed: No such file or directory", FileNotFoundError),
        ("couldn't create file: Permission denied", PermissionError),
        ("read failed: Is a directory", IsADirectoryError),
        ("something new", OSError),
    ],
)
def test_the_words_of_a_device_become_the_error_they_mean(words: str, kind: type[OSError]) -> None:
    error = sync.device_error(f"{words}\x1b[2J\n", "/data/x")
    assert type(error) is kind
    assert "\x1b" not in str(error)
    assert "\n" not in str(error)
    assert words in str(error)
