"""What a data set checks and works out: moments from whole numbers, and a hash of all that training depends on."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fl_sim.data.dataset import Images, chunks, make_dataset
from tests.fl_sim.data.made import dataset, images


@settings(max_examples=40)
@given(st.integers(1, 5), st.integers(1, 3), st.integers(0, 1000))
def test_moments_are_those_of_the_train_pixels(count: int, channels: int, seed: int) -> None:
    train = images(count, channels=channels, seed=seed)
    made = make_dataset("d", 10, train, images(3, channels=channels), "drawn")
    plain = train.pixels.reshape(-1, channels) / 255
    assert made.mean == pytest.approx(plain.mean(0))
    assert made.std == pytest.approx(plain.std(0))


def test_pieces_are_the_whole() -> None:
    pixels = images(3000, side=40).pixels
    pieces = list(chunks(pixels))
    assert len(pieces) > 1
    assert np.array_equal(np.concatenate(pieces), pixels)


def test_the_hash_is_of_everything_that_training_depends_on() -> None:
    train, test = images(6, seed=1), images(4, seed=2)
    owner = np.array([0, 0, 1, 1, 2, 2], dtype=np.int32)
    test_owner = np.array([0, 1, 2, 2], dtype=np.int32)

    def made(name="d", classes=10, train=train, test=test, source="s", owner=owner, owners=3):
        return make_dataset(
            name, classes, train, test, source, train_owner=owner, test_owner=test_owner, owners=owners
        ).sha256

    def changed(whole: np.ndarray) -> np.ndarray:
        copy = whole.copy()
        copy.flat[0] = (int(copy.flat[0]) + 1) % 10
        return copy

    same = made()
    assert made(name="other", source="elsewhere") == same
    strided = Images(np.flip(np.flip(train.pixels, 1).copy(), 1), train.labels)
    assert not strided.pixels.flags.c_contiguous
    assert made(train=strided) == same
    others = [
        made(classes=11),
        made(owners=4),
        made(owner=None),
        made(owner=changed(owner)),
        made(train=Images(changed(train.pixels), train.labels)),
        made(train=Images(train.pixels, changed(train.labels))),
        made(test=Images(changed(test.pixels), test.labels)),
        made(test=Images(test.pixels, changed(test.labels))),
        made(train=Images(train.pixels.reshape(6, 2, 8, 1), train.labels), test=Images(
            test.pixels.reshape(4, 2, 8, 1), test.labels)),
    ]  # fmt: skip
    assert len({same, *others}) == len(others) + 1


@pytest.mark.parametrize(
    ("pixels", "labels"),
    [
        (np.zeros((3, 2, 2), np.uint8), np.zeros(3, np.int32)),
        (np.zeros((3, 2, 2, 1), np.int8), np.zeros(3, np.int32)),
        (np.zeros((3, 2, 2, 1), np.uint8), np.zeros(3, np.int64)),
        (np.zeros((3, 2, 2, 1), np.uint8), np.zeros(4, np.int32)),
    ],
)
def test_other_arrays_are_refused(pixels: np.ndarray, labels: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"must be (uint8|int32)"):
        Images(pixels, labels)


def test_what_nobody_could_train_on_is_refused() -> None:
    good = dataset()
    none = Images(good.train.pixels[:0], good.train.labels[:0])
    plain = Images(np.full((3, 4, 4, 1), 7, np.uint8), np.zeros(3, np.int32))
    owner = np.zeros(30, np.int32)
    for words, make in {
        "there are none": lambda: make_dataset("d", 10, none, good.test, "s"),
        "label of the test images of d must be from 0 to 4": lambda: make_dataset(
            "d", 5, Images(good.train.pixels, good.train.labels % 5), good.test, "s"
        ),
        "must be alike": lambda: make_dataset("d", 10, good.train, images(3, side=5), "s"),
        "nothing can be learnt": lambda: make_dataset("d", 10, plain, good.test, "s"),
        "owner of the train images of d must be from 0 to -1": lambda: make_dataset(
            "d", 10, good.train, good.test, "s", train_owner=owner
        ),
        r"must be int32 \[30\]": lambda: make_dataset(
            "d", 10, good.train, good.test, "s", train_owner=owner[:29], owners=1
        ),
    }.items():
        with pytest.raises(ValueError, match=words):
            make()
