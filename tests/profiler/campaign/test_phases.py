"""Phases: in order and complete, or refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from profiler.campaign.phases import Phases, phases_of
from profiler.names import has_control_characters

WHOLE = "start,10.00\nbusy_start,20.50\nbusy_end,30.25\nend,40.00\n"


def of(text: str, state: bytes = b"done\n") -> Phases:
    return phases_of({"phases": text.encode(), "state": state})


def test_a_whole_job_has_four_moments_and_idle_on_both_sides() -> None:
    phases = of(WHOLE)
    assert phases == Phases(10.0, 20.5, 30.25, 40.0)
    assert phases.idle == ((10.0, 20.5), (30.25, 40.0))
    assert of(WHOLE.replace("\n", "\r\n")) == phases


def test_an_idle_job_is_idle_all_the_time() -> None:
    phases = of("start,10.00\nend,40.00\n")
    assert (phases.busy_start_s, phases.busy_end_s, phases.idle) == (None, None, ((10.0, 40.0),))


def test_the_first_moment_counts() -> None:
    """The job adds the end of a workload that did not write it itself, maybe just after it did."""
    assert of(WHOLE + "busy_end,35.00\nend,50.00\nstart,1.00\n") == of(WHOLE)


@pytest.mark.parametrize("line", WHOLE.splitlines())
def test_a_moment_that_is_missing_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match=r"did not say when it began and ended \(its state: aborted x\?y\)"):
        of(WHOLE.replace(f"{line}\n", ""), b"aborted x\x1by\n")


@pytest.mark.parametrize("swap", [("10.00", "21.00"), ("20.50", "31.00"), ("30.25", "41.00"), ("40.00", "5.00")])
def test_moments_out_of_order_are_refused(swap: tuple[str, str]) -> None:
    with pytest.raises(ValueError, match="did not say"):
        of(WHOLE.replace(*swap))


@pytest.mark.parametrize("text", ["nan", "1e3", "-1.00", "10", "10.", "9" * 11 + ".0", "1.00 "])
def test_what_is_no_time_is_no_moment(text: str) -> None:
    if text == "1.00 ":
        assert of(WHOLE.replace("10.00", text)).start_s == 1.0  # blanks around a line are none of it
        return
    with pytest.raises(ValueError, match="did not say"):
        of(WHOLE.replace("10.00", text))


@given(st.lists(st.sampled_from([*WHOLE.splitlines(), "end,5.00", "busy_end,99.99", "x", "", "start,"])), st.binary())
def test_any_lines_are_in_order_or_refused(lines: list[str], state: bytes) -> None:
    try:
        phases = of("\n".join(lines), state)
    except ValueError as error:
        assert not has_control_characters(str(error))
        return
    moments = [phases.start_s, phases.busy_start_s, phases.busy_end_s, phases.end_s]
    known = [moment for moment in moments if moment is not None]
    assert known == sorted(known)
    assert len(known) in (2, 4)


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_or_phases(content: bytes) -> None:
    try:
        phases_of({"phases": content})
    except ValueError as error:
        assert "\n" not in str(error)
