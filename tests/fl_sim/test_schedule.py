import pytest
from hypothesis import given
from hypothesis import strategies as st

from fl_sim.schedule import Schedule, read_schedule

finite = st.floats(min_value=-1e29, max_value=1e29)


@st.composite
def schedules(draw: st.DrawFn, whole: bool = False) -> Schedule:
    numbers = st.integers(-31, 31).map(float) if whole else finite
    begins = [1, *sorted(draw(st.sets(st.integers(2, 10**6), max_size=6)))]
    return Schedule(tuple(begins), tuple(draw(numbers) for _ in begins))


def test_values_hold_from_their_round_on() -> None:
    schedule = read_schedule("3 2@100 1@167", "mu", whole=True)
    assert schedule == Schedule((1, 100, 167), (3, 2, 1))
    assert [schedule.at(r) for r in (0, 1, 99, 100, 166, 167, 10**9)] == [3, 3, 3, 2, 2, 1, 1]


@pytest.mark.parametrize(
    ("text", "values"),
    [("0.01", (0.01,)), (0.01, (0.01,)), (3, (3,)), ("-1", (-1,)), (" 5  -2@7\t1e-3@8\n", (5, -2, 1e-3))],
)
def test_texts_and_numbers(text: str | float, values: tuple[float, ...]) -> None:
    assert read_schedule(text, "learning_rate").values == values


@given(schedules())
def test_what_is_printed_is_read_again(schedule: Schedule) -> None:
    assert read_schedule(str(schedule), "learning_rate") == schedule


@given(schedules(whole=True))
def test_whole_numbers_are_printed_as_such(schedule: Schedule) -> None:
    assert read_schedule(str(schedule), "mu", whole=True) == schedule


def test_printing() -> None:
    assert str(Schedule((1, 100, 167), (3, 2.5, -1))) == "3 2.5@100 -1@167"
    assert str(Schedule((1,), (0.123456789,))) == "0.123456789"


@given(schedules(), st.integers(1, 10**7))
def test_the_value_of_a_round_is_the_last_that_began(schedule: Schedule, number: int) -> None:
    begun = [value for begin, value in zip(schedule.begins, schedule.values, strict=True) if begin <= number]
    assert schedule.at(number) == begun[-1]


BAD = [
    "", " ", "x", "3@1", "@5", "3 2", "3 2@", "3 @5", "3 2@x", "3 2@1", "3 2@0", "3 2@-4", "3 2@5 1@5", "3 2@9 1@4",
    "3 2@1.5", "3 2@@5", "3, 2@5", "nan", "inf", "-inf", "1e30", "1e400", "1_0", "3 2@1_0", "\u0663", "3 2@\u0665",
    "1 " * 1001, "9" * 5000, "3 2@" + "9" * 5000, "\x1b[31m",
]  # fmt: skip


@pytest.mark.parametrize("text", BAD)
@pytest.mark.parametrize("whole", [False, True])
def test_bad_texts_name_the_field_and_the_rule(text: str, whole: bool) -> None:
    with pytest.raises(ValueError, match=r"^learning_rate must be .* such as '3 2@100 1@167' ") as caught:
        read_schedule(text, "learning_rate", whole=whole)
    assert len(str(caught.value)) < 300
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize("text", ["0.5", "3.0", "1e1", "3 2.5@9", "1" * 400])
def test_whole_numbers_must_be_whole(text: str) -> None:
    with pytest.raises(ValueError, match=r"^mu must be a whole number"):
        read_schedule(text, "mu", whole=True)


@given(st.text(max_size=40), st.booleans())
def test_any_text_is_read_or_refused(text: str, whole: bool) -> None:
    try:
        schedule = read_schedule(text, "mu", whole=whole)
    except ValueError as error:
        assert "mu must be" in str(error)
    else:
        assert read_schedule(str(schedule), "mu") == schedule
