"""The power source: the best that can be read, and why none that is better."""

from collections.abc import Mapping

import pytest

from profiler.campaign.source import source_of
from profiler.device.device import Device
from profiler.device.probe import device_of

GOOD = {"type": "Battery", "current_now": "-1", "voltage_now": "2", "capacity": "70"}
FOLDER = "/sys/class/power_supply"


def device(
    supplies: Mapping[str, Mapping[str, str]] | None = None,
    *,
    denied: Mapping[str, tuple[str, ...]] | None = None,
    zones: Mapping[str, int] | None = None,
    tools: tuple[str, ...] = (),
    android: bool = True,
    dump: str = "",
    root: str = "",
    cpus: tuple[str, ...] = (),
) -> Device:
    lines = [
        "@@fedjoule where",
        f"root={root}",
        f"workspace={root}/tmp/x",
        "@@fedjoule clock",
        "1.00 1",
        "@@fedjoule supplies",
    ]
    for name, files in (supplies or {}).items():
        lines += [f"@supply {name}", *(f"@file {file}={value}" for file, value in files.items())]
        lines += [f"@denied {file}" for file in (denied or {}).get(name, ())]
    for zone, size in (zones or {}).items():
        name = "psys" if "2" in zone else "core" if zone.count(":") > 1 else f"package-{zone[-1]}"
        lines += [f"@powercap {zone}", f"@file name={name}", f"@file range={size}"]
    lines += ["@@fedjoule cpus", *cpus, "@@fedjoule tools", *tools, "@@fedjoule battery", dump, "@@fedjoule properties"]
    lines += ["ro.build.version.sdk=33", "ro.product.model=A phone"] if android else ["os=Linux"]
    return device_of("\n".join([*lines, "@@fedjoule end", ""]), "a link")


LADDER = [
    ("sysfs", {"supplies": {"battery": GOOD}}),
    ("powercap", {"zones": {"intel-rapl:0": 100}}),
    ("perfetto", {"tools": ("perfetto",)}),
    ("dumpsys", {"dump": "  Charge counter: 1000"}),
]


@pytest.mark.parametrize("first", range(len(LADDER) + 1))
def test_the_first_step_of_the_ladder_that_holds_is_taken(first: int) -> None:
    """With everything below a step there, and nothing above it."""
    given = {key: value for _, step in LADDER[first:] for key, value in step.items()}
    found = source_of(device(**given))  # type: ignore[arg-type]
    kinds = [*(kind for kind, _ in LADDER), "none"]
    assert found.kind == kinds[first]
    for kind in kinds[first:]:
        assert source_of(device(**given), kind).kind == kind  # type: ignore[arg-type]
    for kind in kinds[:first]:
        with pytest.raises(ValueError, match=f"power source {kind} cannot be read on A phone; there is: ") as caught:
            source_of(device(**given), kind)  # type: ignore[arg-type]
        assert ", ".join(kinds[first:]) in str(caught.value)


def test_why_no_better_source_is_said() -> None:
    files = {"type": "Battery", "voltage_now": "1"}
    denied = source_of(device({"battery": files}, denied={"battery": ("current_now",)}, tools=("perfetto",)))
    assert (denied.kind, denied.why) == ("perfetto", ("sysfs battery: current_now denied",))
    missing = source_of(device({"battery": {"type": "Battery", "current_now": " "}}, dump="Charge counter: 1"))
    assert missing.why[0] == "sysfs battery: current_now and voltage_now missing or empty"
    assert "coarse" in missing.why[-1]
    nothing = source_of(device())
    assert (nothing.kind, nothing.words) == ("none", "none: latency only")
    assert nothing.why == ("no power source of this device can be read",)


def test_perfetto_is_androids_alone() -> None:
    assert source_of(device(tools=("perfetto",), android=False)).kind == "none"


def test_the_sampler_reads_what_can_be_read_and_nothing_else() -> None:
    files = {**GOOD, "charge_counter": "", "status": "Discharging", "temp": "270", "health": "Good"}
    cpus = ("0,1800000,300000,g", "1,1800000,300000,g", "4,2400000,,g", "7,2840000,800000,g")
    found = source_of(device({"battery": files}, cpus=cpus, root="/phone"))
    supply = f"/phone{FOLDER}/battery"
    assert dict(found.columns) == {
        "current": f"{supply}/current_now",
        "voltage": f"{supply}/voltage_now",
        "temperature": f"{supply}/temp",
        "status": f"{supply}/status",
        "level": f"{supply}/capacity",
        "freq_cpu0": "/phone/sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq",
        "freq_cpu7": "/phone/sys/devices/system/cpu/cpu7/cpufreq/scaling_cur_freq",
    }  # one core of each kind; one whose frequency is hidden tells nothing
    assert found.header == "current,voltage,temperature,status,level,freq_cpu0,freq_cpu7"
    assert found.files.split(" ") == list(found.columns.values())


def test_the_supply_whose_current_moved_is_preferred() -> None:
    names = ("battery", "bms", "max170xx_battery")
    before = {name: {**GOOD, "current_now": "-5"} for name in names}
    after = {**before, "max170xx_battery": {**GOOD, "current_now": "-6"}}
    assert source_of(device(after), earlier=device(before)).name == "max170xx_battery"
    assert source_of(device(before), earlier=device(before)).name == "battery"  # none moved: by name
    assert source_of(device(after)).name == "battery"  # nobody has looked before
    new = {**after, "fresh": {**GOOD, "current_now": "-7"}}
    assert source_of(device(new), earlier=device(before)).name == "max170xx_battery"  # of a new one nothing is known


def test_one_that_cannot_be_read_gives_way_to_the_next() -> None:
    found = source_of(device({"battery": {"type": "Battery"}, "bms": {**GOOD, "type": "BMS"}}))
    assert (found.kind, found.name) == ("sysfs", "bms")
    assert found.why == ("sysfs battery: current_now and voltage_now missing or empty",)


@pytest.mark.parametrize(
    "other", [{"hid-pen": GOOD}, {"slot": {**GOOD, "present": "0"}}, {"usb": {**GOOD, "type": "USB"}}]
)
def test_what_does_not_power_the_phone_is_no_source(other: Mapping[str, Mapping[str, str]]) -> None:
    assert source_of(device(other)).kind == "none"


def test_a_supply_that_was_asked_for_is_taken_or_refused() -> None:
    supplies = {"battery": GOOD, "odd": {**GOOD, "type": "Unknown"}}
    assert source_of(device(supplies), supply="odd").name == "odd"
    assert source_of(device({**supplies, "odd": {}}), supply="odd").kind == "none"
    with pytest.raises(ValueError, match="supply 'nope' is not on A phone; there is: battery, odd"):
        source_of(device(supplies), supply="nope")


def test_energy_counters_are_those_of_whole_packages_with_their_ranges() -> None:
    zones = {"intel-rapl:0": 262143, "intel-rapl:0:0": 99, "intel-rapl:1": 1000}
    zones |= {"intel-rapl:2": 5, "intel-rapl-mmio:0": 7}  # the whole machine, and a package once more
    found = source_of(device(zones=zones, android=False))
    assert found.kind == "powercap"
    assert found.name == "package-0, package-1"
    assert found.counter_range_uj == {"energy0": 262143, "energy1": 1000}
    assert found.columns["energy1"] == "/sys/class/powercap/intel-rapl:1/energy_uj"
