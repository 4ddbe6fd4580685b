import pytest
from hypothesis import given
from hypothesis import strategies as st

from profiler.names import did_you_mean, fold, has_control_characters, nearest, printable


@pytest.mark.parametrize(
    ("one", "other"),
    [("VGG-16", "vgg16"), ("Xiaomi 10", "xiaomi10"), ("CIFAR-100", "cifar_100"), ("LeNet-5", "LENET 5")],
)
def test_spellings_of_one_name_fold_alike(one: str, other: str) -> None:
    assert fold(one) == fold(other)


@pytest.mark.parametrize(
    ("one", "other"), [("Pixel 8", "Pixel 8+"), ("CIFAR-10", "CIFAR-100"), ("-", "_"), ("Phone 1.1", "Phone 11")]
)
def test_different_names_stay_apart(one: str, other: str) -> None:
    assert fold(one) != fold(other)


def test_nearest_finds_a_typo_and_ignores_what_is_far() -> None:
    phones = ["Xiaomi 10", "Xiaomi 11 Pro", "Redmi Note 9"]
    assert nearest("xiaomi1", phones)[0] == "Xiaomi 10"
    assert nearest("qqqq", phones) == []
    assert did_you_mean("qqqq", phones) == "known: Xiaomi 10, Xiaomi 11 Pro, Redmi Note 9"
    assert did_you_mean("readmi note 9", [*phones, "Pixel 8"]).startswith("nearest: Redmi Note 9")


@given(st.text())
def test_printable_never_lets_a_control_character_through(text: str) -> None:
    shown = printable(text, limit=20)
    assert not has_control_characters(shown)
    assert len(shown) <= 20


def test_printable_keeps_ordinary_text() -> None:
    assert printable("小米 10 (ünïcode)") == "小米 10 (ünïcode)"
    assert printable("a\x1b[31mb\u202e") == "a?[31mb?"
