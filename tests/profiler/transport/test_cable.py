"""USB without a phone: a cable as adb-shell hands it to us, and what libusb may do."""

import time
from dataclasses import dataclass, field

import pytest

from profiler.transport.cable import Cable
from profiler.transport.direct import usb_phones
from profiler.transport.link import LinkLost, LinkRefused
from profiler.transport.wire import read_exactly


class USBErrorAccess(Exception):
    """By this name libusb says it."""


class USBErrorBusy(Exception):
    """The same."""


class USBErrorTimeout(Exception):
    """The same."""


class UsbReadFailedError(Exception):
    """How adb-shell wraps them."""

    def __init__(self, usb_error: Exception) -> None:
        super().__init__("Could not receive data")
        self.usb_error = usb_error


@dataclass
class Fake:
    """A cable that gives its pieces one after the other and takes three bytes at a time."""

    pieces: list[bytes] = field(default_factory=list)
    taken: bytes = b""
    timeouts_s: list[float] = field(default_factory=list)
    error: Exception | None = None
    connect_error: Exception | None = None
    closed: int = 0

    def connect(self) -> None:
        if self.connect_error:
            raise self.connect_error

    def bulk_read(self, most: int, timeout_s: float) -> bytearray:
        self.timeouts_s.append(timeout_s)
        if self.error:
            raise self.error
        return bytearray(self.pieces.pop(0)[:most])

    def bulk_write(self, data: bytes, timeout_s: float) -> int:
        self.timeouts_s.append(timeout_s)
        if self.error:
            raise self.error
        self.taken += data[:3]
        return len(data[:3])

    def close(self) -> None:
        self.closed += 1
        if self.error:
            raise self.error


def test_bytes_go_both_ways_in_pieces_and_empty_transfers_are_no_end() -> None:
    fake = Fake([b"ab", b"", b"cde"])
    cable = Cable(lambda: fake, "usb")
    deadline = time.monotonic() + 5
    assert read_exactly(cable, 5, deadline) == b"abcde"
    cable.write(b"12345678", deadline)
    assert fake.taken == b"12345678"
    assert all(0 < timeout_s <= 5 for timeout_s in fake.timeouts_s)


@pytest.mark.parametrize("late_s", [-1.0, 0.0])
def test_a_deadline_that_has_passed_is_never_the_zero_that_means_for_ever(
    late_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = Fake([b"x"])
    cable = Cable(lambda: fake, "usb")
    with pytest.raises(LinkLost, match="time allowed"):
        cable.read(1, time.monotonic() + late_s)
    assert fake.timeouts_s == []
    monkeypatch.setattr("profiler.transport.cable.remaining_s", lambda deadline, name: 0.0004)
    cable.read(1, time.monotonic())
    assert min(int(1000 * timeout_s) for timeout_s in fake.timeouts_s) >= 1


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (USBErrorAccess(), LinkRefused, "udev rules"),
        (USBErrorBusy(), LinkRefused, "adb kill-server"),
        (RuntimeError("No device available"), LinkLost, "USB debugging on"),
        (AssertionError(), LinkLost, "AssertionError"),
    ],
)
def test_a_cable_that_cannot_be_opened_says_what_to_do(error: Exception, kind: type[Exception], words: str) -> None:
    fake = Fake(connect_error=error)
    with pytest.raises(kind, match=words):
        Cable(lambda: fake, "usb")
    assert fake.closed == 1

    def find() -> Fake:
        raise error

    with pytest.raises(kind, match=words):
        Cable(find, "usb")


def test_a_cable_pulled_out_is_a_lost_link_and_can_still_be_closed() -> None:
    fake = Fake()
    cable = Cable(lambda: fake, "usb")
    fake.error = UsbReadFailedError(USBErrorTimeout())
    with pytest.raises(LinkLost, match="USBErrorTimeout"):
        cable.read(1, time.monotonic() + 1)
    with pytest.raises(LinkLost, match="is the cable in"):
        cable.write(b"x", time.monotonic() + 1)
    cable.close()
    cable.close()
    assert fake.closed == 1
    with pytest.raises(LinkLost):
        cable.read(1, time.monotonic() + 1)


def test_a_phone_that_has_no_cable_is_a_lost_link(tmp_path: object) -> None:
    pytest.importorskip("usb1")
    from pathlib import Path

    from profiler.transport.address import open_transport

    assert isinstance(tmp_path, Path)
    if usb_phones():
        pytest.skip("there is a phone on a cable")
    with pytest.raises(LinkLost, match="USB debugging on"):
        open_transport("usb:NOSUCHPHONE", tmp_path)
