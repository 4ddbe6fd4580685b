from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from profiler.power.supply import (
    MAX_CHARACTERS,
    choose_supply,
    is_unreadable,
    parse_supplies,
    parse_supply,
    reading_of,
)

# id -> current unit, voltage unit, sign of the raw current while discharging; None is refused, and must say why.
# Truth is what the collection of dumps documents; where it calls the sign ambiguous, or one dump does not prove it (the
# status is Charging behind a limited input, or missing), a refusal is the right answer.
EXPECTED: dict[str, tuple[str | None, str | None, int | None] | None] = {
    "xiaomi_mi6_bms_30pct": ("uA", "uV", 1),
    "xiaomi_mi6_bms_charging": ("uA", "uV", 1),
    "google_pixel2_limited_charging": ("uA", "uV", None),
    "pinephonepro_rk817_discharging": ("uA", "uV", -1),
    "samsung_msm8916_discharging_mA": ("mA", "uV", -1),
    "sony_xz_charging": ("uA", "uV", None),
    "xiaomi_mi8_charging": ("uA", "uV", None),
    "google_pixel3a_not_charging": ("uA", "uV", None),
    "xiaomi_redmi_k40_sequence": None,  # no uevent
    "oneplus7_lineage_partial": (None, None, None),  # no current, no voltage
    "oneplus8t_dumpsys_not_charging": None,
    "samsung_dumpsys_full": None,
    "motorola_msm8226_uevent_line": ("uA", "uV", None),
    "msm8226_qpnp_charging": ("uA", "uV", 1),
    "mediatek_old_not_charging": (None, None, None),
    "kindle_max77696_discharging": ("mA", "mV", -1),
    "sony_tablet_charging_values": ("uA", "uV", None),
}

PHONE = """POWER_SUPPLY_NAME=battery
POWER_SUPPLY_TYPE=Battery
POWER_SUPPLY_STATUS=Discharging
POWER_SUPPLY_PRESENT=1
POWER_SUPPLY_CAPACITY=81
POWER_SUPPLY_TEMP=312
POWER_SUPPLY_VOLTAGE_NOW=3954000
POWER_SUPPLY_CURRENT_NOW=-431000
POWER_SUPPLY_CHARGE_COUNTER=2801000
"""


@pytest.mark.parametrize("name", EXPECTED)
def test_seventeen_real_dumps_are_read_as_documented_or_refused_with_a_reason(
    name: str, uevents: dict[str, dict[str, Any]]
) -> None:
    expected = EXPECTED[name]
    if expected is None:
        with pytest.raises(ValueError, match="no line like POWER_SUPPLY_STATUS"):
            parse_supplies(uevents[name]["text"])
        return
    reading = reading_of(parse_supply(uevents[name]["text"]))
    assert (reading.current_unit, reading.voltage_unit, reading.discharge_sign) == expected
    assert len(reading.undecided) == sum(
        (expected[0] is None, expected[1] is None, expected[2] is None and expected[0] is not None)
    )
    decided = sum(verdict is not None for verdict in expected)
    assert len(reading.evidence) == decided


def test_no_verdict_contradicts_what_is_documented(uevents: dict[str, dict[str, Any]]) -> None:
    assert set(uevents) == set(EXPECTED)
    for name, entry in uevents.items():
        expected = EXPECTED[name]
        if expected is None:
            continue
        current, voltage, sign = expected
        assert current in (None, entry["current_unit"])
        assert voltage in (None, entry["voltage_unit"])
        if sign is not None:
            words = ("negative = charging", "positive = discharging") if sign == 1 else ("negative = discharging",)
            assert entry["current_sign"].startswith(words)


def test_the_fields_of_a_dump() -> None:
    supply = parse_supply(PHONE)
    assert (supply.name, supply.kind, supply.status, supply.present) == ("battery", "Battery", "Discharging", True)
    assert (supply.current_raw, supply.voltage_raw, supply.charge_raw, supply.level) == (-431000, 3954000, 2801000, 81)
    assert supply.temperature_c == pytest.approx(31.2)
    reading = reading_of(supply)
    assert reading.current_a == pytest.approx(-0.431)
    assert reading.voltage_v == pytest.approx(3.954)
    assert (reading.current_unit, reading.voltage_unit, reading.discharge_sign) == ("uA", "uV", -1)
    assert reading.undecided == ()


@pytest.mark.parametrize("change", [("POWER_SUPPLY_", ""), ("\n", "\r\n"), ("\n", "\nnonsense\n=\nA=\n#\x00\n")])
def test_prefix_line_ends_and_junk_do_not_matter(change: tuple[str, str]) -> None:
    assert reading_of(parse_supply(PHONE.replace(*change))) == reading_of(parse_supply(PHONE))


@pytest.mark.parametrize("value", ["-22", "-61", "-2147483648", "2147483647", "-2147483", "4294967295", "", "1.5", "x"])
def test_error_numbers_and_sentinels_are_no_current(value: str) -> None:
    supply = parse_supply(PHONE.replace("=-431000", f"={value}"))
    assert supply.current_raw is None
    reading = reading_of(supply)
    assert (reading.current_unit, reading.discharge_sign, reading.current_a) == (None, None, None)
    assert any(f"CURRENT_NOW={value}" in reason for reason in reading.undecided)


def test_the_average_stands_in_for_an_unreadable_momentary_value() -> None:
    text = PHONE.replace("CURRENT_NOW=-431000", "CURRENT_NOW=-22\nPOWER_SUPPLY_CURRENT_AVG=-430000")
    assert parse_supply(text).current_raw == -430000


def test_a_key_that_stands_twice_counts_only_if_both_agree() -> None:
    assert parse_supply(PHONE + "POWER_SUPPLY_CURRENT_NOW=-431000\n").current_raw == -431000
    supply = parse_supply(PHONE + "POWER_SUPPLY_CURRENT_NOW=-100000\n")
    assert (supply.current_raw, supply.doubled) == (None, ("CURRENT_NOW",))
    assert any("twice with different values" in reason for reason in reading_of(supply).undecided)


@pytest.mark.parametrize(
    ("current", "status", "more", "unit"),
    [
        (-191, "Discharging", "", "mA"),
        (-191, "Charging", "", None),
        (0, "Discharging", "", None),
        (976, "Not charging", "", None),
        (976, "Not charging", "CONSTANT_CHARGE_CURRENT_MAX=2950000\n", "uA"),
        (-191, "Discharging", "CURRENT_MAX=2950000\n", None),  # two signs that contradict
        (-15000, "Discharging", "", None),  # 15 mA of a sleeping phone or 15 A: nobody knows
        (-25000, "Discharging", "", "uA"),
        (-1999, "Discharging", "", "mA"),
        (-2000, "Discharging", "", None),
        (-191, "Discharging", "INPUT_CURRENT_MAX=-22\n", "mA"),
    ],
)
def test_a_small_number_alone_is_no_proof_of_milliamperes(
    current: int, status: str, more: str, unit: str | None
) -> None:
    text = PHONE.replace("-431000", str(current)).replace("STATUS=Discharging", f"STATUS={status}") + more
    assert reading_of(parse_supply(text)).current_unit == unit


@pytest.mark.parametrize(
    ("raw", "unit"), [(3954000, "uV"), (3954, "mV"), (8100000, "uV"), (16000, None), (100, None), (39, None)]
)
def test_the_voltage_unit_is_the_one_in_which_it_is_a_battery(raw: int, unit: str | None) -> None:
    assert reading_of(parse_supply(PHONE.replace("3954000", str(raw)))).voltage_unit == unit


@pytest.mark.parametrize(
    ("status", "current", "more", "sign"),
    [
        ("Discharging", 500000, "", 1),
        ("Charging", 500000, "", -1),
        ("Charging", -500000, "", 1),
        ("Charging", -500000, "INPUT_CURRENT_LIMITED=1\n", None),
        ("Charging", -500000, "INPUT_CURRENT_LIMITED=0\n", 1),
        ("Charging", -500000, "INPUT_CURRENT_MAX=500000\n", None),
        ("Charging", -500000, "INPUT_CURRENT_MAX=3000000\n", 1),
        ("Full", -500000, "", None),
        ("Not charging", -500000, "", None),
        ("Full", -500000, "VOLTAGE_OCV=4050000\n", -1),
        ("Full", -500000, "VOLTAGE_OCV=3850000\n", 1),
        ("Full", -500000, "VOLTAGE_OCV=16000\n", None),
        ("Full", -500000, "VOLTAGE_OCV=3955000\n", None),
        ("Discharging", 500000, "VOLTAGE_OCV=3850000\n", None),  # contradictory: refuse, do not choose
        ("Discharging", 0, "", None),
    ],
)
def test_what_proves_the_sign(status: str, current: int, more: str, sign: int | None) -> None:
    text = PHONE.replace("-431000", str(current)).replace("STATUS=Discharging", f"STATUS={status}") + more
    reading = reading_of(parse_supply(text))
    assert reading.discharge_sign == sign
    assert (sign is None) == any("current sign" in reason for reason in reading.undecided)


USB = "POWER_SUPPLY_NAME=usb\nPOWER_SUPPLY_TYPE=USB\nPOWER_SUPPLY_ONLINE=0\nPOWER_SUPPLY_CURRENT_NOW=5\n"


def test_the_battery_is_chosen_among_other_supplies() -> None:
    mouse = PHONE.replace("NAME=battery", "NAME=hid-mouse") + "POWER_SUPPLY_SCOPE=Device\n"
    absent = PHONE.replace("PRESENT=1", "PRESENT=0")
    choice = choose_supply({"usb": USB, "mouse": mouse, "absent": absent, "real": PHONE, "junk": "??"})
    assert choice.path == "real"
    assert choice.reading.current_unit == "uA"
    assert set(choice.passed_over) == {"usb", "mouse", "absent", "junk"}
    assert choice.passed_over["usb"] == "type USB"
    assert choice.passed_over["mouse"] == "it is the battery of another device"


def test_the_gauge_that_moves_is_preferred_to_one_with_a_better_name() -> None:
    gauge = PHONE.replace("NAME=battery", "NAME=maxfg")
    assert choose_supply({"battery": PHONE, "maxfg": gauge}).path == "battery"
    later = {"battery": PHONE, "maxfg": gauge.replace("-431000", "-520000")}
    assert choose_supply({"battery": PHONE, "maxfg": gauge}, later).path == "maxfg"
    lost = {"battery": PHONE.replace("-431000", "-22"), "maxfg": gauge.replace("3954000", "3953000")}
    assert choose_supply({"battery": PHONE, "maxfg": gauge}, lost).path == "maxfg"


def test_no_battery_is_refused_with_the_reason_of_each() -> None:
    with pytest.raises(ValueError, match=r"usb: type USB; bms: CURRENT_NOW=-22 is an error"):
        choose_supply({"usb": USB, "bms": PHONE.replace("-431000", "-22")})
    with pytest.raises(ValueError, match="there is none"):
        choose_supply({})


def test_dumps_are_bounded() -> None:
    with pytest.raises(ValueError, match="characters"):
        parse_supplies("A=1\n" * MAX_CHARACTERS)
    with pytest.raises(ValueError, match="lines"):
        parse_supplies("A=1\n" * 2000)


def test_a_name_cannot_act_on_a_terminal() -> None:
    supply = parse_supply(PHONE.replace("NAME=battery", "NAME=\x1b[2Jbattery"))
    assert "\x1b" not in supply.name


def test_a_sentinel_is_told_from_a_measurement() -> None:
    assert is_unreadable(-(2**31))
    assert not is_unreadable(-431000)


LINES = st.lists(
    st.tuples(
        st.sampled_from(["NAME", "STATUS", "CURRENT_NOW", "VOLTAGE_NOW", "VOLTAGE_OCV", "TEMP", "CAPACITY", "PRESENT"]),
        st.one_of(st.integers(-(2**70), 2**70).map(str), st.sampled_from(["Charging", "Discharging", ""]), st.text()),
    ).map("=".join),
    max_size=12,
)


@given(LINES)
def test_whatever_a_dump_holds_a_verdict_has_evidence_and_a_refusal_a_reason(lines: list[str]) -> None:
    try:
        supplies = parse_supplies("\n".join(lines))
    except ValueError:
        return
    for supply in supplies:
        reading = reading_of(supply)
        verdicts = (reading.current_unit, reading.voltage_unit, reading.discharge_sign)
        assert len(reading.evidence) == sum(verdict is not None for verdict in verdicts)
        if reading.voltage_v is not None:
            assert 2.5 <= reading.voltage_v <= 9.3
        assert (reading.current_unit is None) <= bool(reading.undecided)
