"""The pictures of fleets: what they are like, and what became of a run on one."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter, StrMethodFormatter

from profiler.names import printable
from reports.figures import SETTINGS, rendered
from reports.fleet.habits import Habits
from traces.fleet import Fleet

Floats = npt.NDArray[np.float64]
# Okabe and Ito's, as in all figures.
BLUE, ORANGE, GREEN, RED, GREY = "#0072b2", "#e69f00", "#009e73", "#d55e00", "#8c8c8c"
_TIERS = {"low": ORANGE, "medium": BLUE, "high": GREEN, "unknown": GREY}
_WIDTH_IN, _PANEL_IN, _DPI = 6.4, 2.4, 150
_MOST_POINTS = 2000
_NOTE_LETTERS = 105


def fleet_picture(fleet: Fleet, habits: Habits) -> tuple[bytes, bytes]:
    """Return a fleet's habits as (SVG, PNG): who is ready by hour of the day, and how phones differ in it."""
    with mpl.rc_context(SETTINGS | {"text.parse_math": False}):
        figure, (hours, shares) = _panels(2)
        _by_hour(hours, habits.hours, "ready", BLUE)
        if habits.charging_hours is not None:
            _by_hour(hours, habits.charging_hours, "on a charger", GREY)
            hours.legend(frameon=False, fontsize=7)
        hours.set_title("by hour of the day, mean over the phones", loc="left", fontsize=8)
        _cumulative(shares, 100 * habits.duty, BLUE, "")
        shares.set_xlabel("time that a phone is ready (%)")
        shares.set_xlim(0, 100)
        shares.set_title("how phones differ", loc="left", fontsize=8)
        return _finished(figure, f"The fleet {fleet.name}: when phones are ready", _about(fleet))


def times_picture(
    client_s: Mapping[str, Floats], round_s: Floats, deadline_s: float | None, caption: str
) -> tuple[bytes, bytes]:
    """Return the distributions of times as (SVG, PNG): clients that delivered by tier, from being asked, and rounds.

    A dashed line is the deadline. A tier without times is in the legend, which says that none delivered.
    """
    with mpl.rc_context(SETTINGS | {"text.parse_math": False}):
        figure, (clients, rounds) = _panels(2)
        for tier, seconds in client_s.items():
            _cumulative(clients, seconds, _TIERS.get(tier, GREY), _named(tier, len(seconds)))
        clients.set_xlabel("from being asked to delivery (s)")
        clients.set_title("clients that delivered", loc="left", fontsize=8)
        if len(client_s) > 1 or not all(len(seconds) for seconds in client_s.values()):
            clients.legend(frameon=False, fontsize=7, loc="upper left")
        _cumulative(rounds, round_s, "#000000", "")
        rounds.set_xlabel("of a round (s)")
        rounds.set_title("rounds", loc="left", fontsize=8)
        for axis, every in ((clients, [*client_s.values()]), (rounds, [round_s])):
            seconds = np.concatenate([*every, np.zeros(0)])
            seconds = seconds[seconds > 0]
            if len(seconds) and seconds.max() > 30 * seconds.min():
                axis.set_xscale("log")
                axis.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
            if deadline_s is not None:
                axis.axvline(deadline_s, color=RED, ls="--", lw=1)
                axis.annotate(
                    f"deadline {deadline_s:g} s", (deadline_s, 0.5), xycoords=("data", "axes fraction"), rotation=90,
                    fontsize=7, color=RED, ha="right", va="center",
                )  # fmt: skip
        return _finished(figure, "Times of clients and rounds", caption)


def day_picture(ready: Floats | None, asked: Floats, done: Floats, caption: str) -> tuple[bytes, bytes]:
    """Return the hours of the day as (SVG, PNG): float64 [24] share of ready phones, participations, and deliveries."""
    with mpl.rc_context(SETTINGS | {"text.parse_math": False}):
        figure, (above, below) = _panels(2)
        _by_hour(above, np.ones(24) if ready is None else ready, "", BLUE)
        above.set_title("phones that are ready, of all", loc="left", fontsize=8)
        edges = np.arange(25)
        below.stairs(asked, edges, color=GREY, fill=True, alpha=0.5, label="asked")
        below.stairs(done, edges, baseline=None, color=BLUE, lw=1.4, label="of these, delivered")
        below.set_ylabel("phones, in all rounds")
        below.set_ylim(0, max(float(asked.max()), 1.0) * 1.05)
        below.legend(frameon=False, fontsize=7)
        below.set_title("phones that were asked, by the hour in which they were", loc="left", fontsize=8)
        _hours(below)
        return _finished(figure, "The run over the day", caption)


def energy_picture(
    phases: Mapping[str, Mapping[str, float]], wasted_j: Mapping[str, float], caption: str
) -> tuple[bytes, bytes]:
    """Return joules by tier and phase as (SVG, PNG); ``phases`` is tier -> phase -> J, in the order to stack.

    Hatched below it stands what was wasted, ``wasted_j`` by tier.
    """
    colours = dict(zip(next(iter(phases.values()), {}), (BLUE, ORANGE, "#56b4e9", GREEN), strict=False))
    with mpl.rc_context(SETTINGS | {"text.parse_math": False}):
        figure, (axis,) = _panels(1)
        left = np.zeros(len(phases))
        places = np.arange(len(phases))
        for phase, colour in colours.items():
            kilojoules = np.array([np.nan_to_num(values[phase]) / 1e3 for values in phases.values()])
            axis.barh(places - 0.1, kilojoules, left=left, color=colour, height=0.5, label=phase)
            left += kilojoules
        lost = np.array([np.nan_to_num(wasted_j[tier]) / 1e3 for tier in phases])
        axis.barh(places + 0.27, lost, color="white", edgecolor=RED, hatch="////", height=0.2, label="of it wasted")
        axis.set_yticks(places, list(phases))
        axis.invert_yaxis()
        axis.set_xlabel("energy of all phones (kJ)")
        axis.legend(frameon=False, fontsize=7, ncols=len(colours) + 1, loc="lower left", bbox_to_anchor=(0, 1.0))
        return _finished(figure, "Energy by phase and tier", caption)


def part_picture(times: Mapping[str, npt.NDArray[np.int64]], caption: str) -> tuple[bytes, bytes]:
    """Return who took part as (SVG, PNG); ``times`` is tier -> how often each of its phones delivered."""
    with mpl.rc_context(SETTINGS | {"text.parse_math": False}):
        figure, (curve, bars) = _panels(2)
        every = np.concatenate([*times.values()])
        _lorenz(curve, every, "#000000", "all")
        for tier, counts in times.items() if len(times) > 1 else ():
            _lorenz(curve, counts, _TIERS.get(tier, GREY), tier)
        curve.plot([0, 100], [0, 100], color=GREY, lw=0.7, ls=":")
        curve.set_xlabel("phones, those that delivered least first (%)")
        curve.set_ylabel("share of the updates (%)")
        curve.set_title("how evenly: on the dotted line all deliver as often", loc="left", fontsize=8)
        curve.legend(frameon=False, fontsize=7)
        curve.set_xlim(0, 100)
        curve.set_ylim(0, 100)
        places = np.arange(len(times))
        phones = np.array([len(counts) for counts in times.values()], np.float64)
        updates = np.array([counts.sum() for counts in times.values()], np.float64)
        bars.barh(places - 0.2, 100 * phones / phones.sum(), height=0.38, color=GREY, label="of the phones")
        bars.barh(
            places + 0.2, 100 * updates / max(updates.sum(), 1.0), height=0.38, label="of the updates",
            color=[_TIERS.get(tier, GREY) for tier in times],
        )  # fmt: skip
        bars.set_yticks(places, list(times))
        bars.invert_yaxis()
        bars.set_xlabel("share (%)")
        bars.set_title("tiers: share of the phones in grey, of the updates in colour", loc="left", fontsize=8)
        return _finished(figure, "Who took part", caption)


def _panels(count: int) -> tuple[Figure, Sequence[Axes]]:
    figure = Figure(figsize=(_WIDTH_IN, _PANEL_IN * count + 0.6), dpi=_DPI, layout="constrained")
    axes = list(figure.subplots(count, 1, squeeze=False)[:, 0])
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _finished(figure: Figure, title: str, caption: str) -> tuple[bytes, bytes]:
    figure.suptitle(printable(title, 200), fontsize=9, x=0.01, ha="left")
    below = textwrap.wrap(f"mode: fleet. {printable(caption, 1000)}", _NOTE_LETTERS)
    figure.supxlabel("\n".join(below), fontsize=7, x=0.01, ha="left", color="#444444")
    return rendered(figure)


def _about(fleet: Fleet) -> str:
    return f"{fleet.phones:,} phones; {fleet.source}"


def _by_hour(axis: Axes, shares: Floats, label: str, colour: str) -> None:
    axis.stairs(100 * np.nan_to_num(shares), np.arange(25), color=colour, fill=not label or label == "ready", alpha=0.7)
    if label:
        axis.plot([], [], color=colour, lw=2, label=label)
    axis.set_ylabel("phones (%)")
    axis.set_ylim(bottom=0)
    _hours(axis)


def _hours(axis: Axes) -> None:
    axis.set_xlim(0, 24)
    axis.set_xticks(range(0, 25, 3))
    axis.set_xlabel("hour of the day")


def _named(tier: str, delivered: int) -> str:
    return tier if delivered else f"{tier}: none delivered"


def _cumulative(axis: Axes, values: Floats, colour: str, label: str) -> None:
    """Draw the share of values at or below each; without values a name in the legend and no line."""
    ordered = np.sort(values)
    if len(ordered):
        places = np.unique(np.linspace(0, len(ordered) - 1, min(len(ordered), _MOST_POINTS)).astype(np.int64))
        shares = (places + 1) / len(ordered)
        axis.step([ordered[0], *ordered[places]], [0, *shares], where="post", color=colour, lw=1.3, label=label)
    else:
        axis.plot([], [], color=colour, lw=1.3, label=label)
    axis.set_ylim(0, 1)
    axis.set_ylabel("at most that (%)")
    axis.yaxis.set_major_formatter(PercentFormatter(1.0, symbol=""))


def _lorenz(axis: Axes, counts: npt.NDArray[np.int64], colour: str, label: str) -> None:
    label = _named(label, int(counts.sum()))
    if not counts.sum():  # a name in the legend and no line
        axis.plot([], [], color=colour, lw=1.3, label=label)
        return
    passed: Any = np.append(0, np.cumsum(np.sort(counts)))
    places = np.unique(np.linspace(0, len(counts), min(len(counts) + 1, _MOST_POINTS)).astype(np.int64))
    axis.plot(100 * places / len(counts), 100 * passed[places] / passed[-1], color=colour, lw=1.3, label=label)
