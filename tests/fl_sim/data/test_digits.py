"""The embedded digits: their content, their split, and that they are scikit-learn's where it is there."""

import numpy as np
import pytest

from fl_sim.data.catalog import load
from fl_sim.data.digits import load_digits

# Of the content; changes only if the images, the labels or the split do.
SHA256 = "31a6caf3c1355d569d6717819e04f2522b3eac63650b0a5417e54ccb99d6a26a"


def test_digits_need_no_file() -> None:
    digits = load("digits")
    assert (len(digits.train), len(digits.test), digits.classes) == (1442, 355, 10)
    assert digits.train.pixels.shape[1:] == (8, 8, 1)
    assert digits.train.pixels.max() == 16
    assert (digits.owners, digits.train_owner) == (0, None)
    assert digits.sha256 == SHA256
    assert "CC BY 4.0" in digits.source


def test_every_class_has_a_fifth_of_its_images_in_the_test() -> None:
    digits = load_digits()
    to_train, to_test = (np.bincount(part.labels) for part in (digits.train, digits.test))
    assert (to_test == (to_train + to_test) // 5).all()


def test_the_images_can_be_written_to() -> None:
    # torch warns of arrays that cannot, and warnings are errors.
    digits = load_digits()
    assert digits.train.pixels.flags.writeable
    assert digits.train.pixels.flags.c_contiguous


def test_the_images_are_those_of_scikit_learn() -> None:
    sklearn = pytest.importorskip("sklearn.datasets")
    whole = sklearn.load_digits()
    digits = load_digits()
    for number in range(10):
        theirs = whole.images[whole.target == number].astype(np.uint8)
        assert np.array_equal(digits.test.pixels[digits.test.labels == number][..., 0], theirs[4::5])
        assert np.array_equal(
            digits.train.pixels[digits.train.labels == number][..., 0], np.delete(theirs, np.s_[4::5], axis=0)
        )
