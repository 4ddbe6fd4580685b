from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fl_sim.finished import read_run
from reports.training.curves import How
from reports.training.draw import XAxis, draw, picture
from reports.training.endings import Ending, moved_apart
from reports.training.figures import FigureData, figure_data
from reports.training.groups import Group, grouped
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


def words(axis: Axes) -> str:
    return " | ".join(text.get_text().replace("\n", " ").replace("\u00a0", " ") for text in axis.texts)


@pytest.fixture(scope="module")
def groups(tmp_path_factory: pytest.TempPathFactory) -> tuple[Group, ...]:
    folder = tmp_path_factory.mktemp("runs")
    return grouped(read_run(write_run(folder / f"{place}", config)) for place, config in enumerate(CONFIGS))


@pytest.mark.parametrize(("number", "x"), [("2", "round"), ("3", "bytes"), ("7", "round")])
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
    (axis,) = draw(data, x, "").axes
    points = drawn(axis)
    ours = data.rows[data.rows["source"] == "ours"]
    for _, line in ours.groupby("line"):
        assert (list(line[x] / size), list(line["mean_pct"])) in points
    assert len(axis.collections) == ours["line"].nunique()  # a band each
    artifact = data.rows[(data.rows["source"] == "artifact") & (data.rows["round"] <= 12)]
    assert artifact.empty  # the first logged round is 20: nothing beyond our rounds is drawn
    assert axis.get_xlim() == (0, float(ours[x].max()) / size)
    assert axis.get_ylabel() == "accuracy on all test data (%)\nof the INT8 or FP32 model, as named"
    assert "FloatFL, FP32 (2 seeds)" in words(axis)
    assert "paper: Q-FedUpdate, LeNet-5: 81" in words(axis)


def test_the_artifacts_points_are_circles_up_to_our_last_round(groups_of: Groups) -> None:
    data = data_of("5", groups_of(femnist("qfedupdate", rounds=110)))
    (axis,) = draw(data, "round", "").axes
    assert ([20, 60, 100], [24.2, 45.1, 51.2]) in drawn(axis)
    assert "artifact: Q-FedUpdate, K = 20, E = 1, gb = 1" in words(axis)
    assert axis.get_ylabel().endswith("of the INT8 model")
    assert "(1 seed)" in words(axis)
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


def test_cohorts_are_ticks_and_the_gap_is_shaded(groups: tuple[Group, ...]) -> None:
    data = data_of("7", groups)
    (axis,) = draw(data, "round", "").axes
    assert [label.get_text() for label in axis.get_xticklabels()] == ["5", "20", "100"]
    assert ([5, 100], [78, 70]) in drawn(axis)
    ours = data.rows[data.rows["line"] == "Q-FedAvg"]
    assert (list(ours["cohort"]), list(ours["mean_pct"])) in drawn(axis)
    assert "paper: Q-FedAvg, LeNet-5: 78 to 70" in words(axis)
    without = data.rows[data.rows["method"] != "qfedupdate"]
    (alone,) = draw(FigureData("7", "", without, ()), "round", "").axes
    assert len(axis.collections) == len(alone.collections) + 2  # the gap, and Q-FedUpdate's bars


def overlaps(figure: Figure) -> list[tuple[str, str]]:
    """Return the pairs of names at line ends that cover each other once the layout is made."""
    figure.canvas.draw()
    found = []
    for axis in figure.axes:
        boxes = [(text.get_text(), text.get_window_extent()) for text in axis.texts]
        boxes.sort(key=lambda box: box[1].y0)
        found += [(one, other) for (one, a), (other, b) in pairwise(boxes) if b.y0 < a.y1 - 1]
    return found


def test_names_do_not_cover_each_other(groups_of: Groups) -> None:
    many = [femnist("qfedupdate", 0, 20, 30, mu=f"{mu}") for mu in range(6)]
    data = data_of("5", groups_of(*many, femnist("quanfl", rounds=30), femnist("floatfl", rounds=30)))
    assert overlaps(draw(data, "round", "caption")) == []


def test_lines_of_one_method_differ_in_their_dash(groups_of: Groups) -> None:
    data = data_of("5", groups_of(*(femnist("qfedupdate", 0, 20, 3, mu=mu) for mu in ("1", "2", "3"))))
    (axis,) = draw(data, "round", "").axes
    long = [line for line in axis.lines if len(np.asarray(line.get_xdata())) == 3]
    assert len({str(line.get_linestyle()) + str(line._dash_pattern) for line in long}) == 3  # type: ignore[attr-defined]


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
    assert Ending("a = 1: 2", 0, "k").lines == ["a\u00a0=\u00a01:\u00a02"]


def test_a_long_run_is_drawn_with_fewer_points() -> None:
    rounds = np.arange(1.0, 5001)
    base = {"panel": "p", "axis": "round", "source": "ours", "mode": "measured", "dataset": "d", "setting": "s"}
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
