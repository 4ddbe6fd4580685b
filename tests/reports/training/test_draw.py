import re
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fl_sim.finished import read_run
from reports.figures import SETTINGS
from reports.training.axes import XAxis, accuracy_limits
from reports.training.curves import How
from reports.training.draw import draw, picture
from reports.training.endings import Ending, Mark, moved_apart, names_height_in, wrapped, write_names
from reports.training.figures import FigureData, figure_data
from reports.training.groups import Group, grouped
from reports.training.strokes import COLOURS
from tests.reports.training.training_runs import femnist, write_run

Groups = Callable[..., tuple[Group, ...]]
CONFIGS = [
    femnist(method, seed, cohort, 12)
    for method, cohort in (("floatfl", 20), ("qfedavg", 20), ("qfedavg", 5), ("qfedupdate", 20), ("qfedupdate", 5))
    for seed in (0, 1)
]


def data_of(number: str, groups: Sequence[Group]) -> FigureData:
    return figure_data(number, groups, How())


def drawn(axis: Axes) -> list[tuple[list[float], list[float]]]:
    """Return the points of every line that stands in data coordinates."""
    return [
        (list(map(float, np.asarray(line.get_xdata()))), list(map(float, np.asarray(line.get_ydata()))))
        for line in axis.lines
        if line.get_transform() == axis.transData
    ]


def plain(text: str) -> str:
    return text.replace("\n", " ").replace("\u00a0", " ")


def words(axis: Axes) -> str:
    return " | ".join(plain(text.get_text()) for text in axis.texts)


def below(figure: Figure) -> str:
    return plain(figure.get_supxlabel())


@pytest.fixture(autouse=True)
def settings() -> Iterator[None]:
    """Draw with the fonts of pictures."""
    with mpl.rc_context(SETTINGS):
        yield


@pytest.fixture(scope="module")
def groups(tmp_path_factory: pytest.TempPathFactory) -> tuple[Group, ...]:
    folder = tmp_path_factory.mktemp("runs")
    return grouped(read_run(write_run(folder / f"{place}", config)) for place, config in enumerate(CONFIGS))


@pytest.mark.parametrize(("number", "x"), [("2", "round"), ("3", "bytes"), ("5", "round"), ("7", "round")])
def test_the_same_runs_give_the_same_bytes(number: str, x: XAxis, groups: tuple[Group, ...]) -> None:
    data = data_of(number, groups)
    svg, png = picture(data, x, "caption")
    assert (svg, png) == picture(data, x, "caption")
    assert svg.startswith(b"<?xml")
    assert png.startswith(b"\x89PNG")
    assert b"<dc:date>" not in svg


@pytest.mark.parametrize(("x", "size"), [("round", 1.0), ("bytes", 1e3)])
def test_lines_are_the_rows(x: XAxis, size: float, groups: tuple[Group, ...]) -> None:
    data = data_of("5", groups)
    figure = draw(data, x, "")
    (axis,) = figure.axes
    points = drawn(axis)
    ours = data.rows[data.rows["source"] == "ours"]
    for _, line in ours.groupby("line"):
        assert (list(line[x] / size), list(line["mean_pct"])) in points
    assert len(axis.collections) == ours["line"].nunique()  # a band each
    artifact = data.rows[(data.rows["source"] == "artifact") & (data.rows["round"] <= 12)]
    assert artifact.empty  # the first logged round is 20: nothing beyond our rounds is drawn
    assert axis.get_xlim() == (0, float(ours[x].max()) / size)
    assert axis.get_ylabel() == "accuracy (%)"
    assert below(figure) == "2 seeds a line. Accuracy: of the INT8 or FP32 model, as named, on all test data."
    assert {"FloatFL, FP32", "Q-FedUpdate, INT8", "paper: Q-FedUpdate, LeNet-5: 81"} < set(words(axis).split(" | "))


def test_the_artifacts_points_are_circles_up_to_our_last_round(groups_of: Groups) -> None:
    data = data_of("5", groups_of(femnist("qfedupdate", rounds=110)))
    figure = draw(data, "round", "caption")
    (axis,) = figure.axes
    assert ([20, 60, 100], [24.2, 45.1, 51.2]) in drawn(axis)
    assert "artifact: Q-FedUpdate, K = 20, E = 1, gb = 1" in words(axis)
    assert below(figure) == "caption 1 seed a line. Accuracy: of the INT8 model on all test data."
    assert len(axis.collections) == 0  # one seed has no band
    (by_bytes,) = draw(data, "bytes", "").axes
    assert "artifact" not in words(by_bytes)


def test_shares_stand_on_a_logarithmic_axis_that_hides_no_point_but_zeros(groups: tuple[Group, ...]) -> None:
    data = data_of("3", groups)
    rows = data.rows.copy()
    rows.loc[rows.index[3], ["mean_pct", "low_pct"]] = 0.0
    axis = draw(FigureData("3", "", rows, ()), "round", "").axes[0]
    assert axis.get_yscale() == "log"
    (first, *_) = [points for points in drawn(axis) if len(points[0]) == 11]
    assert 4 not in first[0]
    low, high = axis.get_ylim()
    assert all(low < value < high for _, values in drawn(axis) for value in values)


def test_a_thin_line_under_a_thick_one_is_told(groups: tuple[Group, ...]) -> None:
    data = data_of("3", groups)
    assert "thick" not in below(draw(data, "round", ""))  # half as many again changed
    rows = data.rows.assign(mean_pct=data.rows.groupby(["panel", "line", "round"])["mean_pct"].transform("min"))
    figure = draw(FigureData("3", "", rows, ()), "round", "")
    assert below(figure) == "2 seeds a line. Where no thin line is seen, it lies under the thick one."


def test_seeds_stand_at_the_names_where_they_differ(groups_of: Groups) -> None:
    data = data_of("5", groups_of(femnist("floatfl", 0), femnist("floatfl", 1), femnist("qfedavg", 0)))
    figure = draw(data, "round", "")
    assert {"FloatFL, FP32 (2 seeds)", "Q-FedAvg, INT8 (1 seed)"} < set(words(figure.axes[0]).split(" | "))
    assert "a line" not in below(figure)


def test_cohorts_are_ticks_and_the_gap_is_shaded(groups: tuple[Group, ...]) -> None:
    data = data_of("7", groups)
    figure = draw(data, "round", "")
    (axis,) = figure.axes
    assert [label.get_text() for label in axis.get_xticklabels()] == ["5", "20", "100"]
    assert ([5, 100], [78, 70]) in drawn(axis)
    assert "Dotted: from the end of a line to its name." in below(figure)  # ours end at 20
    ours = data.rows[data.rows["line"] == "Q-FedAvg"]
    assert ([20, axis.get_xlim()[1]], [ours["mean_pct"].iloc[-1]] * 2) in drawn(axis)
    assert (list(ours["cohort"]), list(ours["mean_pct"])) in drawn(axis)
    assert "paper: Q-FedAvg, LeNet-5: 78 to 70" in words(axis)
    without = data.rows[data.rows["method"] != "qfedupdate"]
    (alone,) = draw(FigureData("7", "", without, ()), "round", "").axes
    assert len(axis.collections) == len(alone.collections) + 2  # the gap, and Q-FedUpdate's bars


def disorder(figure: Figure) -> list[str]:
    """Return what covers another text or leaves the figure once the layout is made."""
    figure.draw_without_rendering()
    found, page = [], figure.bbox
    for axis in figure.axes:
        boxes = [(text.get_text(), text.get_window_extent()) for text in axis.texts]
        found += [f"{text.get_text()} is far away" for text in axis.texts if not -0.1 < text.get_position()[1] < 1.02]
        boxes.sort(key=lambda box: box[1].y0)
        found += [f"{one} and {other}" for (one, a), (other, b) in pairwise(boxes) if b.y0 < a.y1 - 1]
        boxes += [("label", axis.yaxis.label.get_window_extent()), ("title", axis._left_title.get_window_extent())]  # type: ignore[attr-defined]
        found += [text for text, box in boxes if box.x0 < 0 or box.x1 > page.x1 or box.y0 < 0 or box.y1 > page.y1]
    titles = [text.get_window_extent() for text in figure.texts]  # above all panels, and the notes below them
    inside = [(text.get_text(), text.get_window_extent()) for axis in figure.axes for text in axis.texts]
    inside += [(axis.get_ylabel(), axis.yaxis.label.get_window_extent()) for axis in figure.axes]
    found += [text for text, box in inside if any(box.overlaps(title) for title in titles)]
    return found + [text.get_text() for text, box in zip(figure.texts, titles, strict=True) if box.x1 > page.x1]


def test_names_do_not_cover_each_other(groups_of: Groups) -> None:
    many = [femnist("qfedupdate", 0, 20, 30, mu=f"{mu}") for mu in range(6)]
    data = data_of("5", groups_of(*many, femnist("quanfl", rounds=30), femnist("floatfl", rounds=30)))
    assert disorder(draw(data, "round", "caption")) == []


@pytest.mark.parametrize("number", ["2", "5", "7"])
def test_the_lines_of_all_methods_are_named_in_order_and_seen_through_the_bands(number: str, groups_of: Groups) -> None:
    configs = [femnist(method, seed, cohort, 30) for method in COLOURS for cohort in (5, 20) for seed in (0, 1)]
    data = data_of(number, groups_of(*configs))
    figure = draw(data, "round", "caption " * 60)
    assert disorder(figure) == []
    for axis in figure.axes:
        joined = [line for line in axis.lines if line.get_linestyle() != "None"]  # no caps of bars
        assert max(each.get_zorder() for each in axis.collections) < min(line.get_zorder() for line in joined)
        rows = data.rows[(data.rows["panel"] == plain(axis.get_title("left"))) & (data.rows["source"] == "ours")]
        ends = rows.groupby("line")["mean_pct"].last()
        downwards = [plain(text.get_text()) for text in sorted(axis.texts, key=lambda text: -text.get_position()[1])]
        named = [re.sub(", (INT8|FP32)$", "", text) for text in downwards[: len(ends)]]
        assert sorted(named) == sorted(ends.index)
        assert ends[named].is_monotonic_decreasing
        assert all(text.startswith(("paper", "artifact")) for text in downwards[len(ends) :])


def test_marks_stand_below_the_names_of_lines_and_no_line_leads_to_them(groups: tuple[Group, ...]) -> None:
    (axis,) = draw(data_of("5", groups), "round", "").axes
    lines = [text for text in axis.texts if not text.get_text().startswith("paper")]
    marks = [text for text in axis.texts if text not in lines]
    assert len(lines) == len(marks) + 1 == 3
    assert min(text.get_position()[1] for text in lines) > max(text.get_position()[1] for text in marks)
    leaders = [line for line in axis.lines if line.get_transform() == axis.transAxes and len(line.get_xdata()) == 2]  # type: ignore[arg-type]
    assert len(leaders) == 2 * len(lines)  # to the name, and the sample of the line


def test_lines_that_end_low_leave_room_for_the_marks_below_them() -> None:
    endings, marks = [Ending(f"line {n}", 0.0, "k") for n in range(4)], [Mark(f"mark {n}", "k", "o") for n in range(6)]
    figure = Figure(figsize=(5, 4), layout="constrained")
    axis = figure.subplots()
    axis.set_ylabel("y")
    write_names(axis, endings, marks, max(3.0, names_height_in(endings, marks)))
    assert disorder(figure) == []
    assert [text.get_text() for text in sorted(axis.texts, key=lambda text: -text.get_position()[1])][4:] == [
        mark.text for mark in marks
    ]


def test_a_panel_is_high_enough_for_its_names(groups_of: Groups) -> None:
    many = [femnist("qfedupdate", 0, 20, 110, mu=f"{mu}", batch_size=5) for mu in range(18)]
    assert disorder(draw(data_of("5", groups_of(*many)), "round", "")) == []


def shown(means: Sequence[float], low: float = float("nan"), source: str = "ours", line: str = "l") -> pd.DataFrame:
    rows = pd.DataFrame({"round": np.arange(1.0, len(means) + 1), "mean_pct": means, "high_pct": means})
    return rows.assign(source=source, line=line, low_pct=low)


@pytest.mark.parametrize(
    ("rows", "start"),
    [
        ([shown([5, *[85] * 19])], 80),  # the climb of the first tenth may be below
        ([shown([5, 5, 5, *[85] * 17])], 0),
        ([shown([*[85] * 19, 42])], 40),  # no later point of a line
        ([shown([*[85] * 19, 40])], 30),  # with room for it
        ([shown([*[85] * 19, 38]), shown([77] * 9)], 30),
        ([shown([85] * 20), shown([52], source="artifact")], 50),  # no mark, however early
        ([shown([85] * 20, low=61)], 60),
        ([shown([85] * 20), shown([38] * 2, line="short")], 30),  # a line that ends early has a climb of its own
        ([shown([25] * 20)], 0),
        ([shown([100] * 20)], 90),
        ([shown([0.0])], 0),
    ],
)
def test_the_accuracy_axis_starts_below_what_counts(rows: list[pd.DataFrame], start: float) -> None:
    low, high = accuracy_limits(pd.concat(rows, ignore_index=True))
    assert low == start
    assert max(table["mean_pct"].max() for table in rows) < high <= 101


def test_bars_are_never_cut() -> None:
    bars = shown([85] * 30).assign(round=np.nan, low_pct=[35.0, *[80.0] * 29])
    assert accuracy_limits(bars)[0] == 30
    assert accuracy_limits(bars.assign(round=np.arange(30)))[0] == 70


def test_an_axis_that_does_not_start_at_0_is_told(groups_of: Groups) -> None:
    data = data_of("5", groups_of(femnist("floatfl", rounds=100)))
    rows = data.rows.assign(mean_pct=90.0)
    figure = draw(FigureData("5", "", rows, ()), "round", "")
    assert "The accuracy axis starts at 80 %, not at 0." in below(figure)
    cut = rows.assign(mean_pct=np.where(rows["round"] == 1, 10.0, 90.0))
    cut = cut[cut["source"] == "ours"]
    assert "starts at 80 %, not at 0; what is below is cut off." in below(
        draw(FigureData("5", "", cut, ()), "round", "")
    )


def test_lines_of_one_method_differ_in_their_dash(groups_of: Groups) -> None:
    data = data_of("5", groups_of(*(femnist("qfedupdate", 0, 20, 3, mu=f"{mu}") for mu in range(8))))
    (axis,) = draw(data, "round", "").axes
    long = [line for line in axis.lines if len(np.asarray(line.get_xdata())) == 3]
    assert len({line._unscaled_dash_pattern for line in long}) == len(long) == 8  # type: ignore[attr-defined]
    samples = {line._unscaled_dash_pattern for line in axis.lines if line.get_transform() == axis.transAxes}  # type: ignore[attr-defined]
    assert samples == {line._unscaled_dash_pattern for line in long}  # type: ignore[attr-defined]


BOXES = st.lists(st.tuples(st.floats(0, 1), st.floats(0.01, 0.08)), max_size=12)


@given(BOXES)
def test_boxes_do_not_overlap_keep_their_order_and_stay_where_they_can(boxes: list[tuple[float, float]]) -> None:
    wanted, heights = [box[0] for box in boxes], [box[1] for box in boxes]
    places = moved_apart(wanted, heights)
    order = sorted(range(len(boxes)), key=lambda i: places[i])
    for one, other in pairwise(order):
        assert places[other] - places[one] >= (heights[one] + heights[other]) / 2 - 1e-9
        assert wanted[one] <= wanted[other]
    assert all(place - height / 2 >= -0.1 - 1e-9 for place, height in zip(places, heights, strict=True))
    assert all(place + height / 2 <= 1.02 + 1e-9 for place, height in zip(places, heights, strict=True))


def test_a_box_that_touches_none_stays_and_two_equal_ones_part_evenly() -> None:
    assert moved_apart([0.2, 0.8], [0.1, 0.1]) == [0.2, 0.8]
    assert sorted(moved_apart([0.5, 0.5], [0.1, 0.1])) == pytest.approx([0.45, 0.55])
    assert wrapped("a = 1: 2") == ["a\u00a0=\u00a01:\u00a02"]


def test_a_long_run_is_drawn_with_fewer_points() -> None:
    rounds = np.arange(1.0, 5001)
    base: dict[str, object] = {
        "cohort": 5.0,
        "panel": "p",
        "axis": "round",
        "source": "ours",
        "mode": "measured",
        "dataset": "d",
        "setting": "s",
    }
    rows = pd.DataFrame({"round": rounds, "bytes": rounds, "mean_pct": rounds / 100}).assign(
        **base, method="qfedavg", line="l", quantity="accuracy", judged="int8", low_pct=np.nan, high_pct=np.nan, seeds=1
    )
    (axis,) = draw(FigureData("5", "", rows, ()), "round", "").axes
    assert len(drawn(axis)[0][0]) == 1000


def test_a_name_is_no_formula_and_no_update_at_all_is_no_error(groups_of: Groups) -> None:
    configs = [femnist("qfedavg", rounds=2, dataset=r"$\frac$", partition="iid")]
    assert picture(data_of("5", groups_of(*configs)), "round", "$x")[0].startswith(b"<?xml")
    data = data_of("3", groups_of(*configs))
    none = FigureData("3", "", data.rows.assign(mean_pct=0.0, bytes=0.0), ())
    assert picture(none, "bytes", "")[0].startswith(b"<?xml")
