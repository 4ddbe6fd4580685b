"""What a probe printed is read as a device, or refused in one line; whatever it holds, it cannot do more than that."""

import re
from collections.abc import Callable
from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from profiler.device.accelerator import accelerator_of
from profiler.device.battery import battery_of
from profiler.device.condition import conditions_of
from profiler.device.device import Core, Device
from profiler.device.probe import device_of, script
from profiler.device.state import state_of
from profiler.device.thermal import thermal_of
from profiler.names import has_control_characters
from profiler.transport.paths import checked_path

Said = Callable[..., str]
Made = Callable[..., Device]
LIMIT = 512 * 1024
NASTY = [
    "\x1b]0;owned\x07",
    "'; touch /owned; '",
    "$(touch /owned)",
    '"`id`"',
    "\u202eevil",
    "a" * 10_000,
    "\x00\x9b2J",
]


def words_of(device: Device) -> list[str]:
    """Everything of a device that is printed as it is."""
    words = [device.title, device.soc, device.identity, device.kernel, device.user, device.locked_by, device.boot_id]
    words += [device.says("ro.build.fingerprint"), device.says("os"), *device.accelerators]
    words += [core.governor for core in device.cores] + [zone.name for zone in device.powercaps]
    words += [*device.supplies, *(name for each in device.supplies.values() for name in each.denied)]
    battery, thermal = battery_of(device), thermal_of(device.thermal_dump)
    words += [battery.status, battery.charging, thermal.words, *(name for name, _, _ in thermal.temperatures_c)]
    accelerator = accelerator_of(device)
    words += [accelerator.words, *accelerator.evidence]
    return words + [each.what for each in conditions_of(device)]


def test_a_phone_is_read_to_the_last_section(made: Made) -> None:
    device = made()
    assert (device.title, device.soc, device.android, device.emulated) == ("Xiaomi Mi 10", "SM8250", True, False)
    assert device.workspace == "/data/local/tmp/fedjoule"
    assert device.free_kib == 900_000
    assert (device.root, device.locked_by, device.user, device.fine_sleep) == ("", "", "2000", True)
    assert (device.uptime_s, device.boot_id, device.suspends) == (3600.25, "0f0e0d0c-1111-2222-3333-444455556666", 3)
    assert device.cores[2] == Core(7, 2_840_000, 800_000, "walt")
    assert device.supplies["battery"].files["current_now"] == "-250000"
    assert device.supplies["battery"].uevent == "POWER_SUPPLY_NAME=battery\nPOWER_SUPPLY_TYPE=Battery"
    assert device.tools == {"setsid", "dumpsys"}
    assert device.accelerators == ("/dev/adsprpc-smd present",)
    assert (device.awake, device.low_power) == (True, False)
    assert "level: 70" in device.battery_dump
    assert device.thermal_dump == "Thermal Status: 0"


def test_line_ends_of_an_old_terminal_change_nothing(said: Said) -> None:
    assert device_of(said().replace("\n", "\r\n"), "a link") == device_of(said(), "a link")


def test_every_cut_is_refused_in_one_printable_line(said: Said) -> None:
    whole = said()
    for end in range(0, len(whole) - 1, 7):
        with pytest.raises(ValueError, match="did not run to its end") as caught:
            device_of(whole[:end], "a link")
        assert not has_control_characters(str(caught.value))
        assert len(str(caught.value)) < 300


@pytest.mark.parametrize("missing", ["where", "end"])
def test_without_its_first_or_last_section_it_is_no_probe(said: Said, missing: str) -> None:
    with pytest.raises(ValueError, match="is this a shell"):
        device_of(said(**{missing: None}), "a link")


def test_without_a_clock_nothing_is_timed(said: Said) -> None:
    for clock in ([], ["nan 1.0"], ["-3.00 1"], ["1e9 2"], ["\x1b[31m"], ["99999999999.00 1"]):
        with pytest.raises(ValueError, match="/proc/uptime cannot be read") as caught:
            device_of(said(clock=clock), "a link")
        assert not has_control_characters(str(caught.value))


def test_all_that_may_be_missing_is_none_or_empty(made: Made) -> None:
    optional = ("kernel", "properties", "soc", "cpus", "supplies", "accelerators", "tools", "battery", "thermal")
    nothing: dict[str, Any] = dict.fromkeys(optional)
    device = made(**nothing, where=["workspace=/tmp/x"], clock=["1.00 1.00"], screen=None)
    assert (device.title, device.soc, device.android) == ("a link", "", False)
    assert (device.free_kib, device.suspends, device.awake, device.boot_id) == (None, None, None, "")
    state = state_of(device)
    assert (state.level, state.battery_c, state.thermal_status, state.charging) == (None, None, None, "")
    assert [each.code for each in conditions_of(device)] == []


@pytest.mark.parametrize("workspace", ["", "relative", "/a/../b", "/a b", "/a;rm", "/$(id)", "/" + "a" * 2000])
def test_a_workspace_that_is_no_plain_path_is_refused(said: Said, workspace: str) -> None:
    with pytest.raises(ValueError, match="device path"):
        device_of(said(where=[f"workspace={workspace}"]), "a link")


def test_a_root_that_is_no_plain_path_is_refused(said: Said) -> None:
    with pytest.raises(ValueError, match="device path"):
        device_of(said(where=["root=/x y", "workspace=/tmp/x"]), "a link")


@pytest.mark.parametrize(
    ("section", "lines", "read"),
    [
        ("where", ["workspace=/data/evil", "root=/evil", "free_kib=1", "lock=x y"], ("workspace", "root", "free_kib")),
        ("clock", ["1.00 1.00", "11111111-2222", "9"], ("uptime_s", "boot_id", "suspends")),
        ("properties", ["ro.product.model=Evil", "ro.soc.model=Evil", "ro.product.manufacturer=Evil"], ("title",)),
        ("soc", ["machine=Evil"], ("soc",)),
    ],
)
def test_what_a_section_said_first_stands_when_a_hostile_file_opens_it_again(
    said: Said, section: str, lines: list[str], read: tuple[str, ...]
) -> None:
    inside = ["@supply battery", "a", f"@@fedjoule {section}", *lines, "@@fedjoule supplies"]
    honest, hostile = device_of(said(), "a link"), device_of(said(supplies=inside), "a link")
    for name in read:
        assert getattr(hostile, name) == getattr(honest, name), name


def test_a_property_with_a_line_break_names_no_other_property(made: Made) -> None:
    properties = ["ro.product.model=Mi 10", "ro.kernel.qemu=0", "ro.product.brand=x", "ro.kernel.qemu=1"]
    assert not made(properties=properties).emulated


@pytest.mark.parametrize("nasty", NASTY)
def test_hostile_words_are_shortened_and_shown_without_control_characters(made: Made, nasty: str) -> None:
    more = ["@powercap intel-rapl:0", f"@file name={nasty}", f"@supply {nasty}", "@file type=Mains", "@file online=1"]
    device = made(
        properties=[f"ro.product.model={nasty}", f"ro.soc.model={nasty}", f"ro.build.fingerprint={nasty}"],
        kernel=[nasty],
        where=["workspace=/data/local/tmp/fedjoule", f"lock={nasty}", f"user={nasty}"],
        cpus=[f"0,1,2,{nasty}"],
        supplies=["@supply battery", "@file type=Battery", f"@file status={nasty}", f"@denied {nasty}", *more],
        accelerators=[nasty],
        battery=[f"  {nasty} powered: true", f"  status: {nasty}"],
        thermal=[f"Temperature{{mValue=31.5, mType=0, mName={nasty}, mStatus=0}}"],
    )
    for word in words_of(device):
        assert not has_control_characters(word)
        assert len(word) < 400
    assert list(device.supplies) == ["battery"]


@pytest.mark.parametrize("name", ["..", ".", "", "a b", "a;b", "a/b", "$(id)", "x" * 65, "a\tb", "\u202ex"])
def test_a_supply_whose_name_is_no_plain_word_is_left_out(made: Made, name: str) -> None:
    device = made(supplies=[f"@supply {name}", "@file type=Battery", "@supply usb", "@file type=USB"])
    assert list(device.supplies) == ["usb"]
    assert device.supplies["usb"].files == {"type": "USB"}


def test_a_flood_is_bounded(made: Made) -> None:
    device = made(
        cpus=[f"{number},1,2,x" for number in range(5000)],
        supplies=[f"@supply s{number}" for number in range(500)] + ["@file current_now=" + "9" * 4000],
        accelerators=[f"/dev/{number}" for number in range(1000)],
        kernel=["x" * 4000] * 20,
    )
    assert len(device.cores) <= 1024
    assert len(device.supplies) <= 64
    assert len(device.accelerators) <= 64
    assert len(device.kernel) <= 120


def test_numbers_that_are_none_are_missing(made: Made) -> None:
    device = made(
        where=["workspace=/tmp/x", "free_kib=-5"],
        cpus=["x,1,2,g", "0,1e3,-2,g"],
        clock=["1.00 1", "not-a-boot-id!", "x"],
    )
    assert device.cores == (Core(0, None, None, "g"),)
    assert (device.free_kib, device.boot_id, device.suspends) == (None, "", None)


def test_the_emulated_are_known_by_root_or_property(made: Made) -> None:
    where = ["root=/x/phone", "workspace=/x/phone/data/local/tmp/fedjoule"]
    assert made(where=where).emulated
    for name in ("ro.fedjoule.emulated", "ro.kernel.qemu", "ro.boot.qemu"):
        assert made(properties=[f"{name}=1"]).emulated
        assert not made(properties=[f"{name}=0"]).emulated


def test_one_phone_has_one_identity_and_its_link_or_state_is_not_in_it(made: Made, said: Said) -> None:
    same = [made(), made(battery=[], thermal=["Thermal Status: 3"], clock=["5.00 5.00", "aaaaaaaa-bbbb"])]
    assert same[0].identity == same[1].identity
    assert re.fullmatch("[0-9a-f]{12}", same[0].identity)
    others = [made(kernel=["Linux 6"]), made(cpus=[]), made(soc=["machine=SM8350"]), made(properties=["os=x"])]
    assert len({each.identity for each in (*others, same[0])}) == 5


def test_twins_have_two_identities_and_no_serial_number_is_in_them(made: Made) -> None:
    twins = [made(properties=["ro.product.model=Mi 10", f"ro.serialno={serial}"]) for serial in ("abc123", "abc124")]
    assert twins[0].identity != twins[1].identity
    assert "abc12" not in twins[0].identity


@pytest.mark.parametrize(
    ("maker", "model", "title"),
    [
        ("Xiaomi", "Mi 10", "Xiaomi Mi 10"),
        ("xiaomi", "Xiaomi 11 Pro", "Xiaomi 11 Pro"),
        ("LG", "LGE500", "LG LGE500"),
        ("a+b(", "a+b( 2", "a+b( a+b( 2"),
    ],
)
def test_a_brand_stands_once_in_the_title(made: Made, maker: str, model: str, title: str) -> None:
    assert made(properties=[f"ro.product.manufacturer={maker}", f"ro.product.model={model}"]).title == title


def check(text: str) -> None:
    try:
        device = device_of(text, "a link")
    except ValueError as error:
        assert not has_control_characters(str(error))
        assert len(str(error)) < 400
        return
    checked_path(device.workspace)
    for word in words_of(device):
        assert not has_control_characters(word)
        assert len(word) < 500
    state = state_of(device)
    assert state.level is None or 0 <= state.level <= 100
    assert state.battery_c is None or -60 < state.battery_c < 200
    assert {field.name for field in fields(device)} >= {"link", "root"}


@given(st.text(max_size=300))
def test_no_text_is_more_than_refused(text: str) -> None:
    check(text)


_TEMPERATURE = "Temperature{mValue=-1.5, mType=-1, mName=x, mStatus=1}"
_LINES = st.one_of(
    st.text(max_size=60),
    st.sampled_from(
        ["@supply a", "@supply battery", "@file type=Battery", "@file capacity=\u0663", "@file temp=999999"]
    ),
    st.sampled_from(["@denied x", "@powercap r:0", "@file range=9", "@file present=0", "@file online=1", "status: 9"]),
    st.sampled_from(["@@fedjoule clock", "@@fedjoule end", "level: -", "temperature: 99999999999", "a powered: true"]),
    st.sampled_from(["UPDATES STOPPED", "low_power=1", "Thermal Status: 9", "0,1,2,3", ",,,", "root=/", "12,\u0661,2"]),
    st.sampled_from([_TEMPERATURE, _TEMPERATURE.replace("1.5", "9" * 25), "lock=a 0f0e", "@@fedjoule", "@file"]),
)
_NAMES = ["where", "clock", "properties", "soc", "cpus", "supplies", "battery", "thermal", "screen", "tools", "kernel"]


@given(st.dictionaries(st.sampled_from(_NAMES), st.lists(_LINES, max_size=12)))
def test_no_section_does_more_than_be_left_out(said: Said, changed: dict[str, list[str]]) -> None:
    where = ["workspace=/data/local/tmp/fedjoule", *changed.pop("where", [])]
    clock = ["3600.25 1.00", *changed.pop("clock", [])]
    check(said(**changed, where=where, clock=clock))


def test_half_a_megabyte_is_read_at_once(said: Said) -> None:
    """Nothing in reading takes more than linear time: the largest output that a link lets through."""
    dump = ["Temperature{mValue=1" * 150] * 60
    flood = said(thermal=dump, battery=["  a: b" * 500] * 60, properties=["x" * 3000 + "=y"] * 40)
    assert len(flood) < LIMIT
    check(flood)


def test_the_script_fits_into_one_command_of_an_old_phone() -> None:
    assert len(script()) < 4096 - 300  # with what a transport puts around it
    assert "#" not in [line[:1] for line in script().splitlines()]
