from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fl_sim.converged import Curve, Rule, Spread, converged, curve, rounds_to, smoothed, spread

accuracies = st.lists(st.integers(0, 1000).map(lambda right: right / 1000), min_size=1, max_size=60)
margins = st.sampled_from([0.0, 0.5, 1.0, 3.0, 100.0])


def curve_of(values: list[float], every: int = 1) -> Curve:
    return Curve(np.arange(1, len(values) + 1) * every, np.array(values), "int8")


@given(values=accuracies, window=st.integers(1, 60), margin=margins)
def test_the_round_is_the_first_within_the_margin_as_a_loop_finds_it(
    values: list[float], window: int, margin: float
) -> None:
    of = curve_of(values, every=3)
    if window > len(values):
        with pytest.raises(ValueError, match=f"window must be at most {len(values)}"):
            converged(of, Rule(window, margin))
        return
    means = [float(np.mean(values[end - window : end])) for end in range(window, len(values) + 1)]
    best = max(means)
    first = next(place for place, mean in enumerate(means) if mean >= best - margin / 100 - 1e-12)
    found = converged(of, Rule(window, margin))
    assert found.round == 3 * (first + window)
    assert found.best == pytest.approx(best, abs=1e-12)
    assert found.final == pytest.approx(means[-1], abs=1e-12)
    assert found.round <= found.best_round
    assert rounds_to(of, window, found.best) == found.best_round


@given(values=accuracies, window=st.integers(1, 20), narrow=margins, more=margins)
def test_a_wider_margin_is_never_later(values: list[float], window: int, narrow: float, more: float) -> None:
    of = curve_of(values * 20)
    wide = min(100.0, narrow + more)
    assert converged(of, Rule(window, wide)).round <= converged(of, Rule(window, narrow)).round


@given(steps=st.lists(st.integers(1, 50), min_size=12, max_size=60), window=st.integers(1, 10))
def test_a_curve_that_only_rises_is_still_rising_and_converges_at_its_end_without_a_margin(
    steps: list[int], window: int
) -> None:
    values = np.cumsum(steps) / 10_000
    found = converged(curve_of(values.tolist()), Rule(window, 0.0))
    assert found.rising
    assert found.round == found.best_round == len(values)
    assert found.gain_points > 0


@given(value=st.floats(0, 1), length=st.integers(1, 40), window=st.integers(1, 10), margin=margins)
def test_a_flat_curve_has_converged_once_the_window_is_full(
    value: float, length: int, window: int, margin: float
) -> None:
    found = converged(curve_of([value] * (length + window)), Rule(window, margin))
    assert (found.round, found.best_round, found.rising) == (window, window, False)


@given(values=st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_a_single_window_has_not_shown_that_anything_converged(values: list[float]) -> None:
    found = converged(curve_of(values), Rule(len(values)))
    assert (found.round, found.rising) == (len(values), True)


@given(values=accuracies, shift=st.integers(-50, 50), window=st.integers(1, 5))
def test_the_round_depends_on_differences_alone(values: list[float], shift: int, window: int) -> None:
    values = values * 5
    moved = [value + shift / 1000 for value in values]
    assert converged(curve_of(moved), Rule(window)).round == converged(curve_of(values), Rule(window)).round


def test_a_fall_after_the_best_is_not_still_rising() -> None:
    found = converged(curve_of([0.1, 0.5, 0.8, 0.8, 0.7, 0.6, 0.5]), Rule(window=1, margin_points=1))
    assert (found.round, found.best_round, found.rising, found.final) == (3, 3, False, 0.5)
    assert found.gain_points == pytest.approx(-20)  # round 7 against round 5, the last within four fifths


def test_rounds_that_were_not_judged_are_left_out_and_keep_their_numbers(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    from fl_sim.finished import read_run
    from tests.fl_sim.written_run import NAN, femnist, write_run

    values = [NAN, 0.2, NAN, NAN, 0.6, 0.7]
    found = curve(read_run(write_run(tmp_path / "x", femnist(rounds=6), values)))
    assert (found.rounds.tolist(), found.accuracy.tolist(), found.judged) == ([2, 5, 6], [0.2, 0.6, 0.7], "int8")
    assert smoothed(found, 2).rounds.tolist() == [5, 6]
    assert smoothed(found, 2).accuracy == pytest.approx([0.4, 0.65])


def test_methods_that_broadcast_int8_are_judged_by_it_and_others_by_their_floats(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    from fl_sim.finished import read_run
    from tests.fl_sim.written_run import NAN, femnist, write_run

    judged = {}
    for method in ("floatfl", "quanfl", "qfedavg", "qfedupdate", "quanfl_signsgd"):
        run = read_run(write_run(tmp_path / method, femnist(method, rounds=3), [0.1, 0.2, 0.3]))
        judged[method] = curve(run).judged
    assert judged == {
        "floatfl": "fp32", "quanfl": "int8", "qfedavg": "int8", "qfedupdate": "int8", "quanfl_signsgd": "fp32",
    }  # fmt: skip
    assert curve(run, "fp32").judged == "fp32"
    with pytest.raises(ValueError, match="quanfl_signsgd: the int8 model was judged in no round"):
        curve(run, "int8")
    never = read_run(write_run(tmp_path / "never", femnist(rounds=2), [NAN, NAN]))
    with pytest.raises(ValueError, match="judged in no round"):
        curve(never)


def test_a_target_that_is_never_reached_has_no_round() -> None:
    of = curve_of([0.1, 0.5, 0.8])
    assert [rounds_to(of, 1, target) for target in (0.0, 0.5, 0.8, 0.81)] == [1, 2, 3, None]


@given(rounds=st.lists(st.none() | st.integers(1, 300), min_size=1, max_size=9), seed=st.integers(0, 99))
def test_the_spread_does_not_depend_on_the_order_of_the_seeds(rounds: list[int | None], seed: int) -> None:
    order = np.random.default_rng(seed).permutation(len(rounds))
    found = spread(rounds)
    assert spread([rounds[place] for place in order]) == found
    infinite = [np.inf if number is None else number for number in rounds]
    median = float(np.median(infinite)) if not np.isinf(infinite).all() else np.inf
    assert found.median == (None if np.isinf(median) or np.isnan(median) else median)
    assert (found.reached, found.seeds) == (len(rounds) - rounds.count(None), len(rounds))


def test_a_seed_that_never_got_there_counts_as_the_latest() -> None:
    assert spread([30, None, 20]) == Spread(30.0, 20, None, 2, 3)
    assert spread([None, 20]).median is None
    with pytest.raises(ValueError, match="one seed or more"):
        spread([])


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"window": 0}, "window must be from 1 to 1000 evaluations"),
        ({"window": 1001}, "window must be from 1"),
        ({"margin_points": -0.1}, "margin must be from 0 to 100 points"),
        ({"margin_points": float("nan")}, "margin must be from 0 to 100 points"),
        ({"judged": "int4"}, "judged must be one of broadcast, int8, fp32"),
    ],
)
def test_an_impossible_rule_is_refused(changes: dict[str, object], rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        Rule(**changes)  # type: ignore[arg-type]


def test_a_rule_says_what_it_is() -> None:
    assert Rule().words == (
        "the first round whose accuracy (mean of the last 5 evaluations) is within 1 point of the run's best"
    )
    assert "not smoothed) is within 0.5 points" in Rule(1, 0.5).words
