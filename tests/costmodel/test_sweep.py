import pytest
from hypothesis import given
from hypothesis import strategies as st

from costmodel.paper_scenario import paper_scenario
from costmodel.sweep import grid, parse_sweep
from costmodel.tornado import changes, levers

CIFAR = paper_scenario("xiaomi10_cifar10")


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("device_slots=1..4", ("1", "2", "3", "4")),
        ("batch_size=4,16, 64", ("4", "16", "64")),
        ("noise.cv=0..1:0.25", ("0", "0.25", "0.5", "0.75", "1")),
        ("clock.dsp=0.1..0.3:0.1", ("0.1", "0.2", "0.3")),
        ("link.holds=nothing,dsp", ("nothing", "dsp")),
        ("a=5..5", ("5",)),
        ("cohort.phones_train_ms=[810, 397],[397]", ("[810, 397]", "[397]")),
        ("a=1e2..3e2:1e2", ("100", "200", "300")),
    ],
)
def test_a_sweep_is_written_as_people_write_it(text: str, values: tuple[str, ...]) -> None:
    assert parse_sweep(text).values == values


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("device_slots", "has no name or no values"),
        ("=1..2", "has no name or no values"),
        ("a=", "has no name or no values"),
        ("a=1,,2", "has an empty value"),
        ("a=1..inf", "has no finite range in '1..inf'"),
        ("a=1..nan", "has no finite range"),
        ("a=1..1e9", "in at most 1,000 steps above 0"),
        ("a=1..1e999", "at most 1,000 steps"),
        ("a=1..2:0", "steps above 0"),
        ("a=1..2:-1", "steps above 0"),
        ("a=2..1", "must rise from first to last"),
        ("a=0..1:1e-9", "at most 1,000 steps"),
        ("a=" + "1," * 1500 + "1", "has 1,501 points, at most 1,000"),
    ],
)
def test_a_sweep_without_end_or_sense_is_refused(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=r"^[^\n]*$") as caught:
        parse_sweep(text)
    assert said in str(caught.value)


@given(st.text(max_size=30))
def test_any_text_is_a_sweep_or_a_value_error(text: str) -> None:
    try:
        assert 1 <= len(parse_sweep(text).values) <= 1000
    except ValueError as error:
        assert "sweep" in str(error)


def test_a_grid_is_every_combination_the_last_fastest_and_checked_before_it_runs() -> None:
    points = grid(CIFAR, [parse_sweep("batch_size=4,8"), parse_sweep("device_slots=1..3")])
    assert [tuple(settings.values()) for settings, _ in points] == [
        (size, slots) for size in ("4", "8") for slots in ("1", "2", "3")
    ]
    assert points[-1][1].batch_size == 8
    assert points[-1][1].device_slots == 3
    with pytest.raises(ValueError, match="device_slots must be from 1"):
        grid(CIFAR, [parse_sweep("device_slots=0..3")])
    with pytest.raises(ValueError, match="swept twice"):
        grid(CIFAR, [parse_sweep("device_slots=1..3"), parse_sweep("device_slots=4..5")])
    with pytest.raises(ValueError, match="together have 1,600 points"):
        grid(CIFAR, [parse_sweep("device_slots=1..40"), parse_sweep("host_slots=1..40")])


def test_every_change_of_a_tornado_can_be_made_and_changes_one_thing() -> None:
    for change in changes(CIFAR):
        changed = change.apply(CIFAR)
        assert (changed == CIFAR) is (not change.settings)
        assert len(change.settings) <= 1 or change.group.startswith("overlap")


def test_levers_are_what_shortens_the_period_best_first() -> None:
    best, *others = levers(CIFAR)
    assert (best.words, best.saves_ms, best.then) == ("10 % off training", pytest.approx(39.7), "DSP work")
    assert others == []
    femnist = levers(paper_scenario("xiaomi10_femnist"))
    assert femnist[0].words == "twice the batches per call"
    assert femnist[0].period_ms == 12.5
    assert [lever.saves_ms for lever in femnist] == sorted((lever.saves_ms for lever in femnist), reverse=True)
