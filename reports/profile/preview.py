"""What a campaign will do, before it does anything."""

from pathlib import Path

from profiler.campaign.campaign import Choices, Preview
from profiler.campaign.plan import Plan


def preview_facts(seen: Preview, plan: Plan, choices: Choices, out: Path, folder: Path) -> list[tuple[str, str]]:
    """Return what a person should know before it starts: device, power, plan, duration, changes, files."""
    device, timing = seen.device, plan.timing
    emulated = "; EMULATED: its rows are refused as costs" if device.emulated else ""
    things = len(plan.workloads) + plan.with_idle
    left = seen.measurements - seen.finished
    done = f", {seen.finished} of them already done" if seen.finished else ""
    facts = [
        ("device", f"{device.title} ({device.soc}) at {device.link}{emulated}"),
        ("power", seen.source.words + (f"; {'; '.join(seen.source.why)}" if seen.source.why else "")),
        ("plan", f"{plan.name} {plan.hash}: {things} x {timing.repetitions} = {seen.measurements} measurements{done}"),
        ("order", f"random, seed {plan.seed}; every repetition runs all of them"),
        (
            "each",
            f"idle {timing.idle_s:g} s, busy at least {timing.busy_s:g} s and {timing.gauge_periods} periods of the "
            f"gauge, idle {timing.idle_s:g} s",
        ),
        ("takes", f"about {duration(seen.expected_s)} for {left}, and cooling down; longer if the gauge is slow"),
        ("changes", "; ".join(change.words for change in choices.changes) or "nothing on the device"),
        ("writes", f"{out}, and {folder} (journal, records, raw samples)"),
    ]
    if seen.rate != 1:
        facts.insert(1, ("clock", f"runs {seen.rate:.3g} times as fast as ours"))
    allowed = [f"{each.what} [{each.code}]" for each in seen.conditions if each.code in choices.allowed]
    return facts + [("allowed", what) for what in allowed]


def duration(seconds: float) -> str:
    """Return a duration in words: ``45 s``, ``12 min``, ``3 h 20 min``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
