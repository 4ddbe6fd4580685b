"""Every condition is seen when it holds and not when it does not; it is refused until it is allowed by its code."""

from collections.abc import Callable
from typing import Any

import pytest

from profiler.device.condition import CODES, conditions_of, refused
from profiler.device.device import Device

Made = Callable[..., Device]
BOOT = "0f0e0d0c-1111-2222-3333-444455556666"


def battery(*files: str) -> dict[str, list[str]]:
    return {"supplies": ["@supply battery", "@file type=Battery", *(f"@file {file}" for file in files)], "battery": []}


def where(*lines: str) -> dict[str, list[str]]:
    return {"where": ["workspace=/data/local/tmp/fedjoule", *lines]}


# code, what just does not hold, what just holds
EDGES: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("battery-low", battery("capacity=30"), battery("capacity=29")),
    ("battery-high", battery("capacity=95"), battery("capacity=96")),
    ("battery-hot", battery("temp=380"), battery("temp=381")),
    ("battery-cold", battery("temp=100"), battery("temp=99")),
    ("throttling", {"thermal": ["Thermal Status: 0"]}, {"thermal": ["Thermal Status: 1"]}),
    ("charging", battery("status=Discharging"), battery("status=Charging")),
    ("battery-saver", {"screen": ["low_power=0"]}, {"screen": ["low_power=1"]}),
    ("asleep", {"screen": ["mWakefulness=Dreaming"]}, {"screen": ["mWakefulness=Asleep"]}),
    ("battery-override", {"battery": ["(UPDATES)"]}, {"battery": ["(UPDATES STOPPED -- use 'reset' to restart)"]}),
    ("no-space", where("free_kib=65536"), where("free_kib=65535")),
    ("locked", where(), where(f"lock=0123456789ab {BOOT}")),
]


def test_every_code_is_tried() -> None:
    assert [code for code, _, _ in EDGES] == list(CODES)


@pytest.mark.parametrize(("code", "well", "ill"), EDGES)
def test_a_condition_holds_from_its_limit_on(made: Made, code: str, well: dict[str, Any], ill: dict[str, Any]) -> None:
    assert conditions_of(made(**well)) == ()
    found = conditions_of(made(**ill))
    assert [each.code for each in found] == [code]
    assert refused(found, {code}) == ""
    for allowed in ([], [other for other in CODES if other != code]):
        message = refused(found, allowed)
        assert f"--allow {code}" in message
        assert message.count("\n") == 0


def test_what_nobody_knows_speaks_against_nothing(made: Made) -> None:
    assert conditions_of(made(where=["workspace=/tmp/x"], supplies=[], battery=[], thermal=[], screen=[])) == ()


def test_each_thing_refused_has_a_line_of_its_own(made: Made) -> None:
    found = conditions_of(made(**battery("capacity=5", "temp=50"), screen=["low_power=1"]))
    assert [each.code for each in found] == ["battery-low", "battery-cold", "battery-saver"]
    assert refused(found, {"battery-cold"}).splitlines() == [
        "battery at 5 %, below 30 %; charge it (--allow battery-low to measure all the same)",
        "battery saver is on; it lowers frequencies: switch it off (--allow battery-saver to measure all the same)",
    ]


@pytest.mark.parametrize(
    ("lock", "campaign", "locked"),
    [
        (f"0123456789ab {BOOT}", "", True),
        (f"0123456789ab {BOOT}", "0123456789ab", False),  # our own
        (f"0123456789ab {BOOT}", "0123456789ac", True),
        ("0123456789ab 99999999-1111-2222-3333-444455556666", "", False),  # of an earlier life of the device
        ("0123456789ab", "", True),  # of nobody knows when
        ("0123456789ab ", "", True),
        ("0123456789ab $(id)", "", True),
        ("\x1b[31mx y", "", True),
    ],
)
def test_a_lock_holds_unless_it_is_ours_or_of_an_earlier_life(
    made: Made, lock: str, campaign: str, locked: bool
) -> None:
    found = conditions_of(made(**where(f"lock={lock}")), campaign)
    assert [each.code for each in found] == (["locked"] if locked else [])


def test_a_lock_holds_where_the_device_cannot_tell_its_lives_apart(made: Made) -> None:
    device = made(**where(f"lock=0123456789ab {BOOT}"), clock=["1.00 1.00"])
    assert [each.code for each in conditions_of(device)] == ["locked"]
