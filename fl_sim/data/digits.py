"""The embedded data set: 1,797 handwritten digits of 8 x 8 pixels, from 0 (paper) to 16 (ink).

The test set of "Optical Recognition of Handwritten Digits" by E. Alpaydin and C. Kaynak, UCI Machine Learning
Repository, 1998, https://doi.org/10.24432/C50P49, licence CC BY 4.0; the same images as scikit-learn's ``load_digits``.
"""

from pathlib import Path

import numpy as np

from fl_sim.data.archive import read_archive
from fl_sim.data.dataset import Dataset, Images, make_dataset

CLASSES = 10
_EVERY = 5


def load_digits() -> Dataset:
    """Return the digits: of each class every fifth image, in the order of the file, is for testing.

    1,442 images to train on and 355 to test.
    """
    arrays = read_archive(Path(__file__).with_name("digits.npz"), {"pixels": ("u", 3), "labels": ("u", 1)})
    pixels, labels = arrays["pixels"][..., None], arrays["labels"].astype(np.int32)
    for_test = np.zeros(len(labels), dtype=bool)
    for number in range(CLASSES):
        for_test[np.flatnonzero(labels == number)[_EVERY - 1 :: _EVERY]] = True
    train, test = (Images(pixels[chosen], labels[chosen]) for chosen in (~for_test, for_test))
    return make_dataset("digits", CLASSES, train, test, "embedded; UCI, CC BY 4.0, doi 10.24432/C50P49")
