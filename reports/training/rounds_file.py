"""The rounds file that ``fedjoule tables --rounds`` reads, made of training runs."""

import csv
import io
import math
from collections.abc import Sequence

from fl_sim.converged import Rule
from fl_sim.rounds import COLUMNS
from profiler.names import printable
from reports.table import plain_number
from reports.training.ended import Ended


def rounds_file(found: Sequence[Ended], rule: Rule) -> tuple[str, tuple[str, ...]]:
    """Return the file's text (see ``fl_sim.rounds``) and a line for each group that cannot stand in it.

    Rounds are the median over seeds, rounded up, and the accuracy the median of the final ones. Only runs of a
    workload of the paper fit: its model, data set and batch size are what ``tables`` costs. Raises ValueError if none
    does, or if two groups are of one method and data set.
    """
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    skipped: list[str] = []
    rows: dict[tuple[str, str], Ended] = {}
    for each in found:
        reason = _misfit(each)
        if reason:
            skipped.append(f"{each.label} on {each.group.dataset} is not in the rounds file: {reason}")
            continue
        key = each.group.method, each.group.dataset
        if rows.setdefault(key, each) is not each:
            message = (
                f"a rounds file has one row for {each.group.title} on {each.group.dataset}; give the runs of one: "
            )
            raise ValueError(message + f"{rows[key].label}, or {each.label}")
        writer.writerow(_row(each, rule))
    if not rows:
        message = "no rounds file is written: no run fits the paper's tables; fedjoule cost RUN costs what was measured"
        raise ValueError("\n".join([message, *skipped]))
    return out.getvalue(), tuple(skipped)


def _misfit(each: Ended) -> str:
    """Return why a group's rounds are not those of a workload of the paper; empty if they are."""
    config = each.group.runs[0].config
    if each.workload is None:
        return f"the paper's tables do not have {each.group.dataset} with {each.group.runs[0].model}"
    if config.batch_size != each.workload.batch_size:
        return f"its batch size is {config.batch_size}, the tables cost batches of {each.workload.batch_size}"
    return ""


def _row(each: Ended, rule: Rule) -> list[str]:
    config, seeds = each.group.runs[0].config, len(each.ends)
    over = each.rounds
    names = [run.path.resolve().name for run in each.group.runs]
    finals = sorted(end.final for end in each.ends)
    middle = (finals[(seeds - 1) // 2] + finals[seeds // 2]) / 2
    source = [
        f"{seeds} seed{'s' * (seeds > 1)}: {printable(', '.join(names), 300)}",
        f"rounds {over.least}-{over.most}",
        f"{each.judged} model",
        f"window {rule.window}",
        f"margin {rule.margin_points:g}",
    ]
    if each.rising:
        source.append(f"still rising in {each.rising}")
    return [
        each.group.method,
        each.group.dataset,
        f"{math.ceil(over.median or 0)}",
        f"{config.epochs}",
        f"{config.cohort}",
        plain_number(100 * middle, 4),
        "; ".join(source),
    ]
