"""The outcomes as one table: seconds, memory, whether the weights agree, and ratios to ours from the same repeat."""

from collections.abc import Callable, Sequence
from statistics import median

from engine_run import Outcome
from entries import GOALS, MOST_FIRST_S, MOST_MB, OURS, Entry

_AGREE = 1e-4  # relative; rounding moves the weights after two rounds by a tenth of it
_FIGURES = ("abs_sum", "moved_l2")
Repeats = list[list[Outcome]]
Value = Callable[[Outcome], float]


def wall_s(outcome: Outcome) -> float:
    """Return an outcome's seconds a round: the median."""
    return float(median(outcome.figures["timed"]["rounds_s"]))


def cpu_s(outcome: Outcome) -> float:
    """Return an outcome's CPU seconds a round, of all its processes."""
    return float(outcome.figures["timed"]["cpu_s"])


def brief(outcome: Outcome) -> str:
    """Return one run in a few words."""
    if outcome.reason:
        return outcome.reason
    return f"{wall_s(outcome):.3f} s/round, {cpu_s(outcome):.3f} CPU s, load before {outcome.figures['load']:.2f}"


def text(entries: Sequence[Entry], repeats: Repeats) -> str:
    """Return the table, the goals below it, and why engines are missing from it."""
    references = {integers: _reference(entries, repeats, integers) for integers in (False, True)}
    rows = [
        ("engine", "s/round", "min", "CPU s", "first s", "PSS MB", "proc.", "weights", "wall x", "CPU x"),
        *(_row(entry, repeats, references[entry.integers]) for entry in entries if _of(entry.name, repeats)),
    ]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = [
        "  ".join(cell.ljust(width) if i == 0 else cell.rjust(width) for i, (cell, width) in columns)
        for columns in (list(enumerate(zip(row, widths, strict=True))) for row in rows)
    ]
    failed = {outcome.name: outcome.reason for found in repeats for outcome in found if outcome.reason}
    lines += [f"not measured: {name}: {reason}" for name, reason in failed.items()]
    ran = [outcome for found in repeats for outcome in found if not outcome.reason]
    versions = sorted({str(outcome.figures["judged"]["versions"]) for outcome in ran})
    lines += ["", f"wall x and CPU x: so many times {OURS}'s", f"versions: {'; '.join(versions)}"]
    return "\n".join([*lines, "", *_goals(repeats), *_frugality(repeats)])


def _row(entry: Entry, repeats: Repeats, reference: Outcome | None) -> tuple[str, ...]:
    own = _of(entry.name, repeats)
    ratios = (_ratio(entry.name, OURS, repeats, value) for value in (wall_s, cpu_s))
    return (
        f"{entry.title} [{entry.name}]",
        f"{min(map(wall_s, own)):.3f}",
        f"{min(min(outcome.figures['timed']['rounds_s']) for outcome in own):.3f}",
        f"{min(map(cpu_s, own)):.3f}",
        f"{min(outcome.figures['first']['first_s'] for outcome in own):.1f}",
        f"{max(outcome.figures['pss_bytes'] for outcome in own) / 1e6:.0f}",
        str(max(outcome.figures["timed"]["processes"] for outcome in own)),
        _agreement(entry, own, reference),
        *("-" if ratio is None else f"{ratio:.2f}" for ratio in ratios),
    )


def _goals(repeats: Repeats) -> list[str]:
    lines = []
    for goal in GOALS:
        wall, cpu = (_ratio(goal.slow, goal.fast, repeats, value) for value in (wall_s, cpu_s))
        if wall is None or cpu is None:
            continue
        verdict = "reached" if wall >= goal.times else "above the gate" if wall >= goal.gate else "MISSED"
        aim = f"goal {goal.times:.2f}, gate {goal.gate:.2f}"
        lines.append(f"{goal.slow:>10s} / {goal.fast:14s} {wall:6.2f} wall  {cpu:6.2f} CPU   {aim:24s}  {verdict}")
    return lines


def _frugality(repeats: Repeats) -> list[str]:
    lines = []
    for outcome in (outcome for found in repeats[:1] for outcome in found if outcome.name.startswith("native")):
        if outcome.reason:
            continue
        size, first_s = outcome.figures["pss_bytes"] / 1e6, outcome.figures["first"]["first_s"]
        torch = "torch imported: MISSED" if outcome.figures["ended"]["torch"] else "no torch"
        verdict = f"{_kept(size, MOST_MB)} below {MOST_MB} MB, {_kept(first_s, MOST_FIRST_S)} below {MOST_FIRST_S} s"
        lines.append(f"{outcome.name:>15s}  {size:.0f} MB, first round after {first_s:.2f} s, {torch}; {verdict}")
    return lines


def _kept(value: float, most: float) -> str:
    return "reached:" if value <= most else "MISSED:"


def _ratio(slow: str, fast: str, repeats: Repeats, value: Value) -> float | None:
    """Return how many times ``fast`` another is: the median over repeats, each compared within itself."""
    pairs = [({o.name: o for o in found if not o.reason}) for found in repeats]
    ratios = [value(found[slow]) / value(found[fast]) for found in pairs if slow in found and fast in found]
    return median(ratios) if ratios else None


def _of(name: str, repeats: Repeats) -> list[Outcome]:
    return [outcome for found in repeats for outcome in found if outcome.name == name and not outcome.reason]


def _reference(entries: Sequence[Entry], repeats: Repeats, integers: bool) -> Outcome | None:
    """Return whose weights others are compared with: the plain torch loop's, or else the first engine's of the kind."""
    names = [] if integers else ["lean", "module"]
    names += [entry.name for entry in entries if entry.integers == integers]
    return next((found[0] for found in (_of(name, repeats) for name in names) if found), None)


def _agreement(entry: Entry, own: Sequence[Outcome], reference: Outcome | None) -> str:
    if reference is None:
        return "-"
    judged, first = (
        max(abs(one.figures[event][key] / reference.figures[event][key] - 1) for one in own for key in _FIGURES)
        for event in ("judged", "first")
    )
    most = 0 if entry.integers else _AGREE
    if judged > most:
        return f"DIFFER {judged:.0e}"
    return "same" if first <= most else f"then {first:.0e}"
