import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from profiler.transport.address import Address, open_transport, parse_address
from profiler.transport.local import LocalTransport

serials = st.from_regex(r"[A-Za-z0-9._\[\]:][A-Za-z0-9._:\-\[\]]{0,127}", fullmatch=True)
hosts = st.from_regex(r"[A-Za-z0-9._][A-Za-z0-9._-]{0,60}", fullmatch=True) | st.ip_addresses(v=6).map(str)
addresses = st.one_of(
    st.just(Address("local")),
    st.just(Address("usb")),
    st.builds(Address, st.sampled_from(["usb", "server"]), serial=serials),
    st.builds(Address, st.just("tcp"), host=hosts, port=st.integers(1, 65535)),
)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("local", Address("local")),
        ("usb", Address("usb")),
        ("usb:0A1B2C", Address("usb", serial="0A1B2C")),
        ("192.168.1.7:5555", Address("tcp", host="192.168.1.7", port=5555)),
        ("phone.lan:1", Address("tcp", host="phone.lan", port=1)),
        ("[fe80::1%wlan0]:65535", Address("tcp", host="fe80::1%wlan0", port=65535)),
        ("server:0A1B2C", Address("server", serial="0A1B2C")),
        ("server:192.168.1.7:37001", Address("server", serial="192.168.1.7:37001")),
        (
            "server:adb-0A1B-xY._adb-tls-connect._tcp",
            Address("server", serial="adb-0A1B-xY._adb-tls-connect._tcp"),
        ),
        ("0A1B2C", Address("server", serial="0A1B2C")),
        ("emulator-5554", Address("server", serial="emulator-5554")),
    ],
)
def test_an_address_says_which_way_leads_to_the_device(text: str, address: Address) -> None:
    assert parse_address(text) == address


@given(address=addresses)
def test_an_address_is_read_back_from_its_text(address: Address) -> None:
    assert parse_address(str(address)) == address


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":",
        ":5555",
        "host:",
        "host:0",
        "host:65536",
        "host:99999999",
        "host:+5",
        "host:５",
        "host:5555:6",
        "::1:5555",
        "[::1]",
        "[::1]:0",
        "[nothex]:5",
        "[::1%$(id)]:5",
        "-s:5555",
        "-serial",
        "server:",
        "server:-a",
        "server:a b",
        "usb:",
        "usb:a;b",
        "a b",
        "a\n",
        "a\x1b[2J",
        "$(id)",
        "a/b",
        "x" * 129,
        "h" * 254 + ":1",
        "host name:5",
    ],
)
def test_what_is_no_address_is_refused_in_one_printable_line_with_the_grammar(text: str) -> None:
    with pytest.raises(ValueError, match=r"^device address [^\n\x1b]*\[IPV6\]:PORT, server:SERIAL or SERIAL: [^\n]+$"):
        parse_address(text)


@given(text=st.text(max_size=40) | st.from_regex(r"[\[\]:a-f0-9.%-]{1,30}"))
def test_any_text_is_an_address_of_plain_characters_or_a_value_error(text: str) -> None:
    try:
        address = parse_address(text)
    except ValueError:
        return
    assert not address.serial.startswith("-")
    assert not address.host.startswith("-")
    assert set(address.serial + address.host) <= set(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:-[]%"
    )
    if ":" in address.host:
        ipaddress.IPv6Address(address.host)
    assert address.kind != "tcp" or 1 <= address.port <= 65535


def test_this_machine_is_opened_by_name() -> None:
    assert isinstance(open_transport("local"), LocalTransport)
    assert isinstance(open_transport(Address("local")), LocalTransport)
