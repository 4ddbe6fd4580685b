"""The clock again, client by client in plain Python, walking the intervals one by one. Shares no look-up with it."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

from fl_sim.draws import Draws
from fl_sim.load import Load
from fl_sim.participation import OUTCOMES
from fl_sim.rules import Rules
from traces.fleet import Fleet

PHASES = ("download", "train", "upload")


@dataclass
class Try:
    """An attempt: its phases as (begin, work) in order, and how it stopped."""

    begin_s: float
    phases: list[tuple[float, float]] = field(default_factory=list)
    stop_s: float = math.inf
    delivered: bool = False


@dataclass
class Client:
    tries: list[Try]
    stop_s: float
    delivered: bool


def stretches(fleet: Fleet, phone: int, from_s: float) -> Iterator[tuple[float, float]]:
    """Yield a phone's ready intervals on the clock, without end, from about a period before ``from_s``."""
    a = fleet.availability
    if a is None:
        yield -math.inf, math.inf
        return
    trace = int(fleet.trace_of[phone])
    intervals = [
        (float(a.start_s[i]), float(a.end_s[i])) for i in range(int(a.offsets[trace]), int(a.offsets[trace + 1]))
    ]
    if not intervals:
        return
    period_s = float(a.period_s[trace])
    if intervals == [(0.0, period_s)]:
        yield -math.inf, math.inf
        return
    zero_s = float(a.origin_s[trace]) - float(fleet.shift_s[phone])
    lap = math.floor((from_s - zero_s) / period_s) - 2
    open_s: tuple[float, float] | None = None
    while True:
        for start_s, end_s in intervals:
            now_s = (zero_s + lap * period_s + start_s, zero_s + lap * period_s + end_s)
            # The last of a lap and the first of the next are one stretch where they touch.
            if open_s is not None and start_s == 0 and abs(now_s[0] - open_s[1]) < 1e-6:
                open_s = (open_s[0], now_s[1])
                continue
            if open_s is not None:
                yield open_s
            open_s = now_s
        lap += 1


def ready_at(fleet: Fleet, phone: int, clock_s: float) -> tuple[float, float] | None:
    """Return the stretch a phone is in at a time, or None."""
    for start_s, end_s in stretches(fleet, phone, clock_s):
        if start_s > clock_s:
            return None
        if clock_s < end_s:
            return start_s, end_s
    return None


def finished(fleet: Fleet, phone: int, begin_s: float, work_s: float) -> float:
    if work_s == 0:
        return begin_s
    left_s, now_s = work_s, begin_s
    for start_s, end_s in stretches(fleet, phone, begin_s):
        now_s = max(now_s, start_s)
        if now_s >= end_s:
            continue
        if left_s <= end_s - now_s:
            return now_s + left_s
        left_s -= end_s - now_s
        now_s = end_s
    return math.inf


def ready_between(fleet: Fleet, phone: int, begin_s: float, end_s: float) -> float:
    total_s = 0.0
    for start_s, stop_s in stretches(fleet, phone, begin_s):
        if start_s >= end_s:
            break
        total_s += max(0.0, min(stop_s, end_s) - max(start_s, begin_s))
    return total_s


def again(fleet: Fleet, phone: int, clock_s: float) -> float:
    for start_s, end_s in stretches(fleet, phone, clock_s):
        if clock_s < end_s:
            return max(clock_s, start_s)
    return math.inf


def touches(fleet: Fleet, phone: int, clock_s: float) -> bool:
    """Say whether a phone is ready, or was until this very moment."""
    for start_s, end_s in stretches(fleet, phone, clock_s):
        if start_s > clock_s:
            return False
        if clock_s <= end_s:
            return True
    return False


def transferred(fleet: Fleet, phone: int, begin_s: float, size_bytes: float, up: bool, multiplier: float) -> float:
    n, profile = fleet.network, int(fleet.network_of[phone])
    bits = 8 * size_bytes
    if n.kind != "trace":
        return bits / (float((n.upload_bit_per_s if up else n.download_bit_per_s)[profile]) * multiplier)
    assert n.series is not None
    first, last = int(n.series.offsets[profile]), int(n.series.offsets[profile + 1])
    rates = (n.series.upload_bit_per_s if up else n.series.download_bit_per_s)[first:last].tolist()
    begins = [*n.series.begin_s[first:last].tolist(), float(n.series.period_s[profile])]
    if bits == 0:
        return 0.0
    local_s, spent_s = begin_s % begins[-1], 0.0
    place = max(i for i in range(len(rates)) if begins[i] <= local_s)
    while True:
        span_s, rate = begins[place + 1] - local_s, rates[place] * multiplier
        if rate * span_s >= bits:
            return spent_s + bits / rate
        bits -= rate * span_s
        spent_s += span_s
        place = (place + 1) % len(rates)
        local_s = begins[place]


def tried(
    fleet: Fleet, load: Load, rules: Rules, phone: int, begin_s: float, rates: tuple[float, float], fails_at: float
) -> Try:
    """Play one attempt to its end."""
    client, kind = phone % len(load.batches), int(fleet.hardware_of[phone])
    suspend = rules.interrupted == "suspend"
    made, now_s = Try(begin_s), begin_s
    if suspend and again(fleet, phone, begin_s) == math.inf:
        made.stop_s = begin_s
        return made
    ends = []
    for phase in range(3):
        if phase == 1:
            work_s = float(load.batches[client]) * float(load.batch_time_ms[kind]) / 1e3
        else:
            size = float((load.upload_bytes if phase else load.download_bytes)[client])
            work_s = transferred(fleet, phone, now_s, size, phase == 2, rates[phase // 2])
        made.phases.append((now_s, work_s))
        now_s = finished(fleet, phone, now_s, work_s) if suspend else now_s + work_s
        ends.append(now_s)
    made.stop_s, made.delivered = ends[-1], True
    if rules.interrupted == "check_end":
        made.delivered = touches(fleet, phone, ends[-1])
    if rules.interrupted == "abort":
        stretch = ready_at(fleet, phone, begin_s)
        until_s = begin_s if stretch is None else stretch[1]
        if stretch is None or until_s < ends[-1]:
            made.stop_s, made.delivered = until_s, False
    if not math.isnan(fails_at):
        left_s = fails_at * sum(work_s for _, work_s in made.phases)
        fails_s = ends[-1]
        for phase_s, work_s in made.phases:
            if left_s <= work_s:
                fails_s = finished(fleet, phone, phase_s, left_s) if suspend else phase_s + left_s
                break
            left_s -= work_s
        made.stop_s, made.delivered = min(made.stop_s, fails_s), False
    return made


def client_of(fleet: Fleet, load: Load, rules: Rules, phone: int, begin_s: float, draws: Draws, place: int) -> Client:
    tries, now_s = [], begin_s
    for number in range(1 + rules.retries):
        rates = float(draws.download[place, number]), float(draws.upload[place, number])
        made = tried(fleet, load, rules, phone, now_s, rates, float(draws.fails_at[place, number]))
        tries.append(made)
        now_s = again(fleet, phone, made.stop_s)
        if made.delivered or now_s == math.inf:
            break
    return Client(tries, tries[-1].stop_s, tries[-1].delivered)


def work_by(fleet: Fleet, rules: Rules, phone: int, made: Try, clock_s: float) -> list[float]:
    """Return the seconds of each phase that an attempt has done by a time."""
    until_s = min(clock_s, made.stop_s)
    seconds = [0.0, 0.0, 0.0]
    for phase, (begin_s, work_s) in enumerate(made.phases):
        if until_s <= begin_s:
            continue
        passed_s = until_s - begin_s
        if rules.interrupted == "suspend":
            passed_s = ready_between(fleet, phone, begin_s, until_s)
        seconds[phase] = min(work_s, passed_s)
    return seconds


def slow_play(
    fleet: Fleet, load: Load, rules: Rules, phones: list[int], begin_s: float, draws: Draws
) -> tuple[float, list[dict[str, float | str]]]:
    """Return the round's end, and of each client what ``Participation`` says of it."""
    clients = [client_of(fleet, load, rules, phone, begin_s, draws, i) for i, phone in enumerate(phones)]
    deliveries = sorted(client.stop_s for client in clients if client.delivered)
    ends = [max((client.stop_s for client in clients), default=begin_s)]
    awaited = rules.awaited(len(phones))
    if 0 < awaited <= len(deliveries):
        ends.append(deliveries[awaited - 1])
    deadline_s = math.inf if rules.deadline_s is None else begin_s + rules.deadline_s
    end_s = min(*ends, deadline_s)
    rows = []
    for phone, client in zip(phones, clients, strict=True):
        number, kind = phone % len(load.batches), int(fleet.hardware_of[phone])
        if client.stop_s <= end_s:
            outcome = OUTCOMES[0] if client.delivered else "dropped"
        else:
            outcome = "late" if deadline_s < min(ends) else "cancelled"
        stop_s = min(client.stop_s, end_s)
        row = dict.fromkeys([f"{phase}_s" for phase in PHASES], 0.0)
        energy_j = float(load.batches[number]) * float(load.batch_energy_mj[kind]) / 1e3
        row |= dict.fromkeys(("download_bytes", "upload_bytes", "wasted_s"), 0.0)
        row |= dict.fromkeys(("train_j", "wasted_j"), 0.0 * energy_j)  # not a number from the start, if it is none
        power = load.power
        for made in client.tries:
            seconds = work_by(fleet, rules, phone, made, end_s)
            spent_j = 0.0
            for phase, (_, work_s) in enumerate(made.phases):
                share = seconds[phase] / work_s if work_s else 0.0
                row[f"{PHASES[phase]}_s"] += seconds[phase]
                if phase == 1:
                    row["train_j"] += share * energy_j
                    spent_j += share * energy_j
                else:
                    sizes = load.upload_bytes if phase else load.download_bytes
                    row[f"{PHASES[phase]}_bytes"] += share * float(sizes[number])
                    watts = power.upload_w if phase else power.download_w
                    spent_j += (watts or 0.0) * seconds[phase]
            if not (made.delivered and made.stop_s <= end_s):
                row["wasted_s"] += sum(seconds)
                row["wasted_j"] += spent_j
        wait_s = end_s - stop_s
        rows.append(
            row
            | {"outcome": outcome, "end_s": stop_s, "wait_s": wait_s}
            | {"attempts": sum(made.begin_s <= end_s for made in client.tries)}
            | {"suspended_s": stop_s - begin_s - sum(row[f"{phase}_s"] for phase in PHASES)}
            | {"download_j": math.nan if power.download_w is None else power.download_w * row["download_s"]}
            | {"upload_j": math.nan if power.upload_w is None else power.upload_w * row["upload_s"]}
            | {"wait_j": math.nan if power.wait_w is None else power.wait_w * wait_s * (outcome == "done")}
        )
    return end_s, rows
