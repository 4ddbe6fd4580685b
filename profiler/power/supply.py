"""A power supply as the kernel describes it (``uevent``), and what that alone says of its units and sign."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from profiler.names import printable

MAX_CHARACTERS = 64 * 1024
MAX_LINES = 1_000

# A driver that could not read the chip often stores the error in the value: these are Linux error numbers.
ERRNOS = frozenset({-1, -5, -6, -11, -16, -19, -22, -34, -61, -71, -95, -110, -121, -131})
# Values at the ends of 32 bits, also after a conversion from micro to milli: "no such property".
SENTINELS = frozenset({-(2**31), 2**31 - 1, -2_147_483, 2_147_483, -2_147_484, -(2**63), 2**63 - 1, 2**32 - 1})

CURRENT_KEYS = ("CURRENT_NOW", "CURRENT_AVG")
VOLTAGE_KEYS = ("VOLTAGE_NOW", "VOLTAGE_AVG")
CHARGE_KEYS = ("CHARGE_COUNTER", "CHARGE_NOW")

# One cell holds 2.5 to 4.6 V; two cells in a row up to 9.2 V.
_CELL_V = (2.5, 9.3)
# No phone draws more from its battery than 20 A; none that answers and runs on battery draws less than 2 mA.
_MOST_A, _LEAST_AWAKE_A = 20.0, 0.002
# A USB 2 port gives 0.5 A. Behind such an input a phone at work empties its battery while STATUS says Charging.
_WEAK_INPUT_UA = 500_000
_LIMITS = re.compile(r"(INPUT|CONSTANT_CHARGE|FLASH|)_?CURRENT_MAX")
_PAIR = re.compile(r"(?:POWER_SUPPLY_)?([A-Z][A-Z0-9_]{0,63})=(.{0,200})")


@dataclass(frozen=True)
class Supply:
    """One power supply; numbers are raw, None is missing, unreadable (an error number, a sentinel) or contradictory.

    ``values`` has every key without the kernel's prefix; ``doubled`` names the keys that stood there twice with
    different values, which count as unknown. ``temperature_c`` is the kernel's tenths of a degree made degrees.
    """

    name: str
    kind: str | None
    status: str | None
    present: bool | None
    current_raw: int | None
    voltage_raw: int | None
    charge_raw: int | None
    level: int | None
    temperature_c: float | None
    values: Mapping[str, str] = field(default_factory=dict)
    doubled: tuple[str, ...] = ()


@dataclass(frozen=True)
class Reading:
    """A judgement of units and sign without a measurement; None is undecided, and ``undecided`` says why.

    ``discharge_sign`` is the sign of the raw current while the battery empties. The current and voltage are those of
    the dump, in amperes and volts; the current keeps its raw sign.
    """

    current_unit: str | None
    voltage_unit: str | None
    discharge_sign: int | None
    current_a: float | None
    voltage_v: float | None
    evidence: tuple[str, ...]
    undecided: tuple[str, ...]


def parse_supplies(text: str) -> tuple[Supply, ...]:
    """Return the supplies in a dump of one or more ``uevent`` files, or of the kernel's messages about them.

    Lines are ``POWER_SUPPLY_KEY=value`` or ``KEY=value``; anything else is passed over. A second supply begins after a
    blank line or with another NAME. Raises ValueError for more than 64 Ki characters or 1,000 lines, or no pair at all.
    """
    if len(text) > MAX_CHARACTERS:
        message = f"a uevent dump has {len(text):,} characters, at most {MAX_CHARACTERS:,} are read"
        raise ValueError(message)
    # Android logs a kernel message on one line, the pairs separated by commas.
    lines = re.split(r"\r\n|\r|\n|, (?=[A-Z_]+=)", text)
    if len(lines) > MAX_LINES:
        message = f"a uevent dump has {len(lines):,} lines, at most {MAX_LINES:,} are read"
        raise ValueError(message)
    blocks: list[list[tuple[str, str]]] = [[]]
    for line in lines:
        pair = _PAIR.fullmatch(line.strip())
        if pair is None:
            if not line.strip():
                blocks.append([])
            continue
        key, value = pair[1], printable(pair[2].strip(), 200)
        if key == "NAME" and any(seen == "NAME" and other != value for seen, other in blocks[-1]):
            blocks.append([])
        blocks[-1].append((key, value))
    supplies = tuple(_supply(block) for block in blocks if block)
    if not supplies:
        message = "a uevent dump has no line like POWER_SUPPLY_STATUS=Discharging; is it the uevent file of a supply?"
        raise ValueError(message)
    return supplies


def parse_supply(text: str) -> Supply:
    """Return the one supply of a dump; of several the one with most to measure. Raises ValueError as parse_supplies."""
    return max(parse_supplies(text), key=_measures)


def reading_of(supply: Supply) -> Reading:
    """Return the best judgement of units and sign from one dump; what it cannot prove is left undecided.

    Voltage: the unit in which one or two cells make sense. Current: in mA no phone shows 20,000; running on battery
    none draws less than 2 mA, so a smaller number of microamperes is milliamperes; else limits beside it that are
    written in microamperes. Sign: STATUS, or the voltage under load against the open-circuit voltage. Charging from a
    limited input proves nothing, because the battery may lose all the same.
    """
    evidence: list[str] = []
    undecided: list[str] = []
    voltage_unit = _voltage_unit(supply, evidence, undecided)
    current_unit = _current_unit(supply, evidence, undecided)
    sign = _discharge_sign(supply, evidence, undecided)
    current = None if supply.current_raw is None or current_unit is None else supply.current_raw * AMPERES[current_unit]
    voltage = None if supply.voltage_raw is None or voltage_unit is None else supply.voltage_raw * VOLTS[voltage_unit]
    return Reading(current_unit, voltage_unit, sign, current, voltage, tuple(evidence), tuple(undecided))


AMPERES: Mapping[str, float] = {"uA": 1e-6, "mA": 1e-3}
VOLTS: Mapping[str, float] = {"uV": 1e-6, "mV": 1e-3}


@dataclass(frozen=True)
class Choice:
    """The supply to measure: its key in the dumps, what was read from it, and why it and not another one."""

    path: str
    supply: Supply
    reading: Reading
    why: str
    passed_over: Mapping[str, str]


def choose_supply(dumps: Mapping[str, str], later: Mapping[str, str] | None = None) -> Choice:
    """Return the battery among the supplies in ``dumps`` (path of each folder to the text of its ``uevent``).

    It must be a battery that is present and has a current and a voltage. Where dumps of a ``later`` time are given,
    one whose values moved is preferred; then one with a status, a charge counter, the name ``battery``. Raises
    ValueError with the reason for every supply if none qualifies.
    """
    passed_over: dict[str, str] = {}
    fit: list[tuple[tuple[bool, ...], str, Supply]] = []
    for path, text in dumps.items():
        try:
            supply = parse_supply(text)
        except ValueError as error:
            passed_over[path] = str(error)
            continue
        reason = _unfit(supply)
        if reason is not None:
            passed_over[path] = reason
            continue
        rank: tuple[bool, ...] = (
            _moved(supply, (later or {}).get(path)),
            supply.status is not None,
            supply.charge_raw is not None,
            supply.name == "battery",
        )
        fit.append((rank, path, supply))
    if not fit:
        reasons = "; ".join(f"{printable(path)}: {reason}" for path, reason in passed_over.items())
        message = f"no power supply can be measured ({reasons or 'there is none'}); try Perfetto or dumpsys battery"
        raise ValueError(message)
    rank, path, supply = sorted(fit, key=lambda entry: ([not flag for flag in entry[0]], entry[1]))[0]
    words = ("its values moved", "it has a status", "it has a charge counter", "it is named battery")
    reasons = ", ".join(word for word, flag in zip(words, rank, strict=True) if flag)
    passed_over |= {other: "another supply is better" for _, other, _ in fit if other != path}
    return Choice(path, supply, reading_of(supply), reasons or "it is the only one", passed_over)


def is_unreadable(value: float) -> bool:
    """Return whether a number from a gauge stands for "cannot be read": a sentinel, not an error number."""
    return value in SENTINELS


def _supply(pairs: list[tuple[str, str]]) -> Supply:
    values: dict[str, str] = {}
    doubled: set[str] = set()
    for key, value in pairs:
        if values.setdefault(key, value) != value:
            doubled.add(key)
    sure = {key: value for key, value in values.items() if key not in doubled}
    temperature = _whole(sure.get("TEMP"))
    level = _whole(sure.get("CAPACITY"))
    return Supply(
        name=sure.get("NAME", "")[:64],
        kind=sure.get("TYPE"),
        status=sure.get("STATUS") or None,
        present={"0": False, "1": True}.get(sure.get("PRESENT", "")),
        current_raw=_measured(sure, CURRENT_KEYS),
        voltage_raw=_measured(sure, VOLTAGE_KEYS),
        charge_raw=next((charge for key in CHARGE_KEYS if (charge := _measured(sure, (key,))) and charge > 0), None),
        level=level if level is not None and 0 <= level <= 100 else None,
        temperature_c=temperature / 10 if temperature is not None and -500 < temperature < 1500 else None,
        values=values,
        doubled=tuple(sorted(doubled)),
    )


def _whole(text: str | None) -> int | None:
    return int(text) if text is not None and re.fullmatch(r"[+-]?[0-9]{1,19}", text) else None


def _measured(values: Mapping[str, str], keys: tuple[str, ...]) -> int | None:
    for key in keys:
        number = _whole(values.get(key))
        if number is not None and number not in ERRNOS and number not in SENTINELS:
            return number
    return None


def _measures(supply: Supply) -> tuple[bool, ...]:
    return (
        supply.current_raw is not None and supply.voltage_raw is not None,
        supply.current_raw is not None,
        supply.status is not None,
        supply.name == "battery",
    )


def _missing(supply: Supply, keys: tuple[str, ...]) -> str:
    for key in keys:
        if key in supply.doubled:
            return f"{key} stands there twice with different values"
        if key in supply.values:
            return f"{key}={supply.values[key]} is an error of the driver, not a measurement"
    return f"there is no {' and no '.join(keys)}"


def _unfit(supply: Supply) -> str | None:
    if supply.kind is not None and supply.kind not in ("Battery", "BMS"):
        return f"type {supply.kind}"
    if supply.values.get("SCOPE") == "Device":
        return "it is the battery of another device"
    if supply.present is False:
        return "not present"
    if supply.current_raw is None:
        return _missing(supply, CURRENT_KEYS)
    return _missing(supply, VOLTAGE_KEYS) if supply.voltage_raw is None else None


def _moved(supply: Supply, later: str | None) -> bool:
    if later is None:
        return False
    try:
        then = parse_supply(later)
    except ValueError:
        return False
    return (then.current_raw, then.voltage_raw) != (supply.current_raw, supply.voltage_raw) and _unfit(then) is None


def _voltage_unit(supply: Supply, evidence: list[str], undecided: list[str]) -> str | None:
    raw = supply.voltage_raw
    if raw is None:
        undecided.append(f"voltage: {_missing(supply, VOLTAGE_KEYS)}")
        return None
    for unit, volts in VOLTS.items():
        if _CELL_V[0] <= raw * volts <= _CELL_V[1]:
            evidence.append(f"{raw} in {unit} is {raw * volts:.2f} V, a battery's voltage")
            return unit
    undecided.append(f"voltage: {raw} is no battery's voltage in uV or mV")
    return None


def _current_unit(supply: Supply, evidence: list[str], undecided: list[str]) -> str | None:
    raw = supply.current_raw
    if raw is None:
        undecided.append(f"current: {_missing(supply, CURRENT_KEYS)}")
        return None
    signs: dict[str, str] = {}
    if abs(raw) * AMPERES["mA"] > _MOST_A:
        signs["uA"] = f"{raw} in mA would be {abs(raw) / 1000:.0f} A"
    if supply.status == "Discharging" and 0 < abs(raw) * AMPERES["uA"] < _LEAST_AWAKE_A:
        signs["mA"] = f"on battery a running phone draws more than {raw} uA"
    limits = [key for key, text in supply.values.items() if _LIMITS.fullmatch(key) and (_whole(text) or 0) > 100_000]
    if limits:
        signs.setdefault("uA", f"{limits[0]}={supply.values[limits[0]]} beside it is in uA")
    if len(signs) == 1:
        unit, why = next(iter(signs.items()))
        evidence.append(why)
        return unit
    why = " but ".join(signs.values()) or f"{raw} may be uA or mA and nothing beside it tells"
    undecided.append(f"current unit: {why}")
    return None


def _discharge_sign(supply: Supply, evidence: list[str], undecided: list[str]) -> int | None:
    raw = supply.current_raw
    if raw is None:
        return None
    if raw == 0:
        undecided.append("current sign: the current is 0")
        return None
    sign = 1 if raw > 0 else -1
    signs: dict[int, str] = {}
    limited = supply.values.get("INPUT_CURRENT_LIMITED") == "1" or (
        0 < (_whole(supply.values.get("INPUT_CURRENT_MAX")) or 0) <= _WEAK_INPUT_UA
    )
    if supply.status == "Discharging":
        signs[sign] = f"STATUS is Discharging and the current {raw}"
    elif supply.status == "Charging" and not limited:
        signs[-sign] = f"STATUS is Charging and the current {raw}"
    under_load, at_rest = supply.voltage_raw, _measured(supply.values, ("VOLTAGE_OCV",))
    # Ten millivolts are more than the two differ by without a current; a tenth of the voltage is nonsense.
    if under_load and at_rest and 0.0025 < abs(under_load / at_rest - 1) < 0.1:
        falls = under_load < at_rest
        words = "below" if falls else "above"
        signs.setdefault(sign if falls else -sign, f"VOLTAGE_NOW is {words} VOLTAGE_OCV and the current {raw}")
    if len(signs) == 1:
        decided, why = next(iter(signs.items()))
        evidence.append(why)
        return decided
    if signs:
        why = " but ".join(signs.values())
    elif supply.status == "Charging":
        why = f"STATUS is Charging from a limited input, which may hide a discharge (current {raw})"
    else:
        why = f"STATUS is {supply.status or 'missing'}, which does not tell what the current {raw} does"
    undecided.append(f"current sign: {why}")
    return None
