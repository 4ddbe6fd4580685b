"""The adb server: whom it knows, what it says instead of OKAY, and whether it is there at all."""

import os
import shutil
import socket
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from profiler.emulator.adbd import EmulatedDevice, Options
from profiler.emulator.phone import Phone
from profiler.names import has_control_characters
from profiler.transport.address import open_transport
from profiler.transport.link import Finished, LinkLost, LinkRefused
from profiler.transport.server import AdbServerTransport, list_phones, parse_phones, server_error, server_place


@pytest.fixture
def port(adb_port: int, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", str(adb_port))
    return adb_port


def test_phones_are_read_from_the_list_with_state_and_words() -> None:
    text = (
        "0A1B2C                 device usb:1-4 product:a model:Pixel_8 device:b transport_id:1\n"
        "192.168.1.7:5555       offline transport_id:2\n"
        "????????????           no permissions (user in plugdev group; are your rules wrong?); see [http://x]\n"
        "9X8Y\tunauthorized\n\n"
        "* daemon started\n"
        "alone\n"
    )
    found = parse_phones(text)
    assert [(serial, state) for serial, state, _ in found[:4]] == [
        ("0A1B2C", "device"),
        ("192.168.1.7:5555", "offline"),
        ("????????????", "no permissions"),
        ("9X8Y", "unauthorized"),
    ]
    assert found[0][2] == "usb:1-4 product:a model:Pixel_8 device:b transport_id:1"


@given(text=st.text(max_size=200) | st.lists(st.sampled_from(["a", "\t", " ", "\n", "\x1b[2J", "device"])).map("".join))
def test_no_list_breaks_the_reader_or_the_terminal(text: str) -> None:
    for phone in parse_phones(text):
        assert not any(has_control_characters(part) for part in phone)


def test_a_long_list_is_cut_off() -> None:
    assert len(parse_phones("a device\n" * 5000)) == 100
    (phone,) = parse_phones("a device " + "x" * 100_000)
    assert len(phone[2]) <= 200


@pytest.mark.parametrize(
    ("words", "kind", "step"),
    [
        ("device unauthorized.\nThis adb server's $ADB_VENDOR_KEYS is not set", LinkRefused, "Always allow"),
        ("device still authorizing", LinkRefused, "Always allow"),
        ("insufficient permissions for device: no permissions", LinkRefused, "udev rules"),
        ("closed", LinkRefused, "does not allow"),
        ("device offline", LinkLost, "adb reconnect offline"),
        ("device 'x' not found", LinkLost, "adb devices"),
        ("device \x1b[2J not found", LinkLost, r"\?\[2J"),
    ],
)
def test_what_the_server_says_becomes_one_line_with_the_next_step(words: str, kind: type, step: str) -> None:
    error = server_error(words, "x (adb server)")
    assert type(error) is kind
    with pytest.raises(kind, match=rf"^x \(adb server\): [^\n\x1b]*{step}[^\n\x1b]*$"):
        raise error


@pytest.mark.parametrize("text", ["0", "65536", "x", "-1", "1 2", "９"])
def test_a_port_in_the_environment_that_is_none_is_named(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", text)
    with pytest.raises(ValueError, match="ANDROID_ADB_SERVER_PORT must be a port"):
        server_place()


def test_the_server_is_where_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ANDROID_ADB_SERVER_PORT", "ANDROID_ADB_SERVER_ADDRESS"):
        monkeypatch.delenv(name, raising=False)
    assert server_place() == ("127.0.0.1", 5037)
    monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", "6000")
    monkeypatch.setenv("ANDROID_ADB_SERVER_ADDRESS", "10.0.0.1")
    assert server_place() == ("10.0.0.1", 6000)


def test_without_server_and_adb_it_says_what_to_start_and_starts_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", str(free.getsockname()[1]))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LinkLost, match="run 'adb start-server' there, or name the phone as HOST:PORT or usb"):
        open_transport("server:0A1B2C")
    with pytest.raises(LinkLost, match="'adb start-server' starts one"):
        list_phones()


def test_a_server_is_started_with_the_adb_on_the_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    adb = shutil.which("adb")
    if adb is None:
        pytest.skip("needs adb on the PATH")
    with socket.create_server(("127.0.0.1", 0)) as free:
        monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", str(free.getsockname()[1]))
    for name in ("HOME", "TMPDIR"):
        monkeypatch.setenv(name, str(tmp_path))
    try:
        with pytest.raises(LinkLost, match="'0A1B2C' not found; see what adb devices lists"):
            open_transport("0A1B2C")
        assert [phone for phone in list_phones() if phone[0] == "0A1B2C"] == []
    finally:
        subprocess.run([adb, "kill-server"], env=dict(os.environ), check=True, capture_output=True, timeout=30)


@pytest.mark.parametrize("serial", ["", "-s", "a b", "a;b", "a\n", "x" * 129, "host:transport:x/y", "ä"])
def test_a_serial_number_that_could_be_something_else_never_reaches_the_server(serial: str) -> None:
    with pytest.raises(ValueError, match="serial number"):
        AdbServerTransport(serial)


def test_something_else_on_the_port_of_the_server_is_a_lost_link_or_a_refusal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import threading

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.5)

        def answer() -> None:
            while True:
                try:
                    client, _ = listener.accept()
                except OSError:
                    return
                with client:
                    client.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", str(listener.getsockname()[1]))
        with pytest.raises((LinkLost, LinkRefused), match=r"^[^\n]*$"):
            AdbServerTransport("0A1B2C", connect_timeout_s=0.5)
        with pytest.raises((LinkLost, LinkRefused), match=r"^[^\n]*$"):
            list_phones(0.5)
        thread.join()


def test_a_phone_whose_key_prompt_nobody_answers_is_refused(port: int) -> None:
    options = Options(wants_key=True, accepts_new_keys=False)
    with Phone() as phone, EmulatedDevice(phone, options=options) as device:
        with pytest.raises(LinkRefused, match="Always allow"):
            open_transport(f"server:{device.address}")
        assert (device.address, "unauthorized") in [found[:2] for found in list_phones()]


def test_a_phone_offline_is_refused_at_first_and_a_lost_link_when_it_was_there_before(port: int) -> None:
    with Phone() as phone:
        with EmulatedDevice(phone) as device:
            transport = open_transport(f"server:{device.address}")
            assert transport.run("echo there") == Finished(0, b"there\n")
            device.drop_connections()
            with pytest.raises(LinkLost, match="reconnect"):
                transport.run("true")
            transport.reconnect()
            assert transport.run("echo again") == Finished(0, b"again\n")
        with pytest.raises(LinkLost, match="reconnect"):
            transport.reconnect()


def test_a_shell_that_was_killed_is_told_by_the_phone_if_it_can(port: int) -> None:
    with Phone() as phone, EmulatedDevice(phone) as new, EmulatedDevice(phone, options=Options(shell_v2=False)) as old:
        assert open_transport(f"server:{new.address}").run("kill -9 $PPID").code == 137
        with pytest.raises(LinkLost, match="the shell ended before the command did"):
            open_transport(f"server:{old.address}").run("kill -9 $PPID")


def test_a_missing_adbutils_is_one_line_with_the_command_that_installs_it(port: int) -> None:
    import sys

    program = (
        "import sys; sys.modules['adbutils'] = None\n"
        "from profiler.transport.address import open_transport\n"
        "open_transport('server:x')"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=False)
    assert ended.stderr.splitlines()[-1].endswith("pip install 'fedjoule[profile]'")
