import socket
from typing import NoReturn

import pytest

from profiler.emulator.adbd import EmulatedDevice
from profiler.transport import direct, server
from profiler.transport.address import parse_address
from profiler.transport.discover import Found, discover
from profiler.transport.link import LinkLost


def test_this_machine_is_always_there_and_places_that_cannot_be_searched_are_words(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fails() -> NoReturn:
        raise RuntimeError("no \x1blibusb\nhere" + "x" * 1000)

    with socket.create_server(("127.0.0.1", 0)) as free:
        monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", str(free.getsockname()[1]))
    monkeypatch.setattr(direct, "usb_phones", fails)
    at_server, on_cable, here = discover()
    assert (at_server.address, at_server.state) == ("", "not searched")
    assert at_server.words.startswith("adb server: no adb server answers at 127.0.0.1:")
    assert (on_cable.address, on_cable.state) == ("", "not searched")
    assert on_cable.words.startswith("USB without an adb server: no ?libusb?here")
    assert len(on_cable.words) <= 200
    assert here == Found("local", "device", "this machine")


def test_phones_are_found_with_addresses_that_can_be_opened(
    phones: dict[str, EmulatedDevice], adb_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", str(adb_port))
    address = f"server:{phones['new'].address}"
    server.AdbServerTransport(phones["new"].address).close()
    (found,) = [found for found in discover() if found.address == address]
    assert found.state == "device"
    assert "model:fedjoule_demo_phone" in found.words


def test_a_serial_number_that_must_not_be_passed_on_is_shown_without_an_address(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        server,
        "list_phones",
        lambda: [("????", "no permissions", "see udev"), ("-rf", "device", ""), ("A1", "offline", "")],
    )
    monkeypatch.setattr(direct, "usb_phones", lambda: ["0A1B", "", "a b"])
    found = discover()
    assert [(one.address, one.state) for one in found] == [
        ("", "no permissions"),
        ("", "device"),
        ("server:A1", "offline"),
        ("usb:0A1B", "device"),
        ("usb", "no permissions"),
        ("", "device"),
        ("local", "device"),
    ]
    assert "????" in found[0].words
    assert all(str(parse_address(one.address)) == one.address for one in found if one.address)


def test_a_server_that_hangs_up_is_words(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone() -> NoReturn:
        raise LinkLost("it went")

    monkeypatch.setattr(server, "list_phones", gone)
    monkeypatch.setattr(direct, "usb_phones", list)
    assert discover() == [Found("", "not searched", "adb server: it went"), Found("local", "device", "this machine")]
