"""Every image goes to one client, every client has data, and the draws are what they are said to be."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fl_sim.data.dataset import Dataset, Images, make_dataset
from fl_sim.partition import (
    Partition,
    by_owner,
    by_test_owner,
    describe,
    dirichlet,
    from_owners,
    iid,
    label_counts,
    shards,
)


def labels_of(images: int, classes: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, classes, images, dtype=np.int32)


def check_exact(partition: Partition, images: int) -> None:
    assert np.array_equal(np.sort(partition.indices), np.arange(images))
    assert partition.sizes.min() > 0
    for client in range(partition.clients):
        assert (np.diff(partition.of(client)) > 0).all()


def slow_from_owners(owner: np.ndarray, clients: int) -> list[list[int]]:
    held: list[list[int]] = [[] for _ in range(clients)]
    for image, client in enumerate(owner.tolist()):
        held[client].append(image)
    return held


def writers() -> Dataset:
    rng = np.random.default_rng(1)
    train = Images(rng.integers(0, 256, (40, 2, 2, 1), dtype=np.uint8), labels_of(40, 3))
    test = Images(rng.integers(0, 256, (5, 2, 2, 1), dtype=np.uint8), labels_of(5, 3))
    owner = rng.permutation(np.repeat(np.arange(4, dtype=np.int32), 10))
    return make_dataset(
        "w", 3, train, test, "drawn", train_owner=owner, test_owner=np.array([3, 3, 0, 1, 0], dtype=np.int32), owners=4
    )


@given(st.lists(st.integers(0, 6), max_size=60))
def test_rows_are_those_of_a_plain_loop(owner: list[int]) -> None:
    partition = from_owners(np.array(owner, dtype=np.int32), 7, allow_empty=True)
    expected = slow_from_owners(np.array(owner, dtype=np.int32), 7)
    assert [partition.of(client).tolist() for client in range(7)] == expected
    assert partition.sizes.tolist() == [len(images) for images in expected]


@settings(max_examples=60)
@given(st.integers(1, 30), st.integers(0, 200), st.integers(1, 12), st.integers(0, 1 << 30))
def test_every_image_goes_to_one_client(clients: int, more: int, classes: int, seed: int) -> None:
    images = 3 * clients + more
    labels = labels_of(images, classes, seed)
    for partition in (
        iid(images, clients, np.random.default_rng(seed)),
        shards(labels, clients, 3, np.random.default_rng(seed)),
        dirichlet(labels, clients, 100.0, np.random.default_rng(seed), least=1),
    ):
        check_exact(partition, images)


@given(st.integers(1, 30), st.integers(0, 100))
def test_parts_at_random_are_even(clients: int, more: int) -> None:
    sizes = iid(clients + more, clients, np.random.default_rng(0)).sizes
    assert sizes.max() - sizes.min() <= 1


def test_shards_hold_few_classes_and_are_even() -> None:
    labels = labels_of(6000, 10)
    partition = shards(labels, 100, 2, np.random.default_rng(3))
    kinds = (label_counts(partition, labels, 10) > 0).sum(1)
    assert kinds.max() <= 4
    assert kinds.mean() < 2.5
    assert set(partition.sizes.tolist()) == {60}


def test_small_alpha_is_uneven_and_large_alpha_even() -> None:
    labels = np.repeat(np.arange(10, dtype=np.int32), 1000)
    tables = [
        label_counts(dirichlet(labels, 20, alpha, np.random.default_rng(5), least=1), labels, 10)
        for alpha in (0.1, 1.0, 1000.0)
    ]
    spreads = [table.std() for table in tables]
    assert spreads[0] > 1.5 * spreads[1] > 15 * spreads[2]


def test_dirichlet_shares_have_the_variance_of_the_distribution() -> None:
    clients, alpha = 50, 0.5
    labels = np.repeat(np.arange(200, dtype=np.int32), 1000)
    shares = label_counts(dirichlet(labels, clients, alpha, np.random.default_rng(7), least=1), labels, 200) / 1000
    mean = 1 / clients
    variance = mean * (1 - mean) / (clients * alpha + 1)
    assert shares.mean() == pytest.approx(mean)
    assert shares.var() == pytest.approx(variance, rel=0.05)


def test_everyone_gets_at_least_ten_as_in_the_papers_partition() -> None:
    labels = np.repeat(np.arange(10, dtype=np.int32), 5000)
    sizes = dirichlet(labels, 100, 0.5, np.random.default_rng(0)).sizes
    assert sizes.min() >= 10
    assert sizes.mean() == 500
    assert sizes.max() > 900


def test_draws_are_repeated_until_everyone_has_enough() -> None:
    labels = np.repeat(np.arange(2, dtype=np.int32), 300)
    sizes = [dirichlet(labels, 10, 0.3, np.random.default_rng(seed), least=5).sizes.min() for seed in range(20)]
    assert min(sizes) >= 5
    loose = [dirichlet(labels, 10, 0.3, np.random.default_rng(seed), least=1).sizes.min() for seed in range(20)]
    assert min(loose) < 5


def test_same_generator_same_partition() -> None:
    labels = labels_of(500, 5)
    for make in (
        lambda rng: dirichlet(labels, 10, 0.5, rng, least=2),
        lambda rng: shards(labels, 10, 2, rng),
        lambda rng: iid(500, 10, rng),
    ):
        first, again, other = (make(np.random.default_rng(seed)) for seed in (1, 1, 2))
        assert np.array_equal(first.indices, again.indices)
        assert np.array_equal(first.offsets, again.offsets)
        assert not np.array_equal(first.indices, other.indices)


def test_images_of_a_class_are_not_dealt_in_the_order_of_the_file() -> None:
    labels = np.zeros(1000, dtype=np.int32)
    for partition in (
        dirichlet(labels, 2, 100.0, np.random.default_rng(0)),
        shards(labels, 2, 1, np.random.default_rng(0)),
        iid(1000, 2, np.random.default_rng(0)),
    ):
        assert 300 < partition.of(0).mean() < 700


def test_writers_are_clients_for_training_and_for_testing() -> None:
    dataset = writers()
    partition = by_owner(dataset)
    check_exact(partition, 40)
    assert dataset.train_owner is not None
    assert all((dataset.train_owner[partition.of(client)] == client).all() for client in range(4))
    assert [by_test_owner(dataset).of(client).tolist() for client in range(4)] == [[2, 4], [3], [], [0, 1]]


def test_counts_and_summary_agree() -> None:
    labels = labels_of(300, 7)
    partition = dirichlet(labels, 12, 0.5, np.random.default_rng(0), least=2)
    table = label_counts(partition, labels, 7)
    assert table.dtype == np.int64
    expected = [[int((labels[partition.of(k)] == c).sum()) for c in range(7)] for k in range(12)]
    assert table.tolist() == expected
    summary = describe(partition, labels, 7)
    sizes = table.sum(1)
    assert (summary.clients, summary.images) == (12, 300)
    assert (summary.fewest, summary.median, summary.mean, summary.most) == (
        sizes.min(), np.median(sizes), 25.0, sizes.max(),
    )  # fmt: skip
    kinds = (table > 0).sum(1)
    assert (summary.fewest_classes, summary.mean_classes, summary.most_classes) == (
        kinds.min(), kinds.mean(), kinds.max(),
    )  # fmt: skip


def test_a_million_clients_take_little_memory() -> None:
    clients = 1_000_000
    labels = labels_of(clients, 10)
    tracemalloc.start()
    partition = iid(clients, clients, np.random.default_rng(0))
    kept, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept - partition.indices.nbytes <= 64 * clients
    assert peak <= 64 * clients
    assert partition.of(999_999).shape == (1,)
    assert describe(partition, labels, 10).most_classes == 1


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda rng: iid(5, 6, rng), "5 train images are too few"),
        (lambda rng: iid(5, 0, rng), "clients must be from 1"),
        (lambda rng: shards(labels_of(5, 2), 3, 2, rng), "at least 6 are needed"),
        (lambda rng: shards(labels_of(5, 2), 3, 0, rng), "per_client must be at least 1"),
        (lambda rng: dirichlet(labels_of(99, 2), 10, 0.5, rng), "at least 100 are needed"),
        (lambda rng: dirichlet(labels_of(99, 2), 2, 0.0, rng), "alpha must be above 0"),
        (lambda rng: dirichlet(labels_of(99, 2), 2, float("nan"), rng), "alpha must be above 0"),
        (lambda rng: dirichlet(labels_of(99, 2), 2, 0.5, rng, least=0), "least must be at least 1"),
        (lambda rng: dirichlet(labels_of(1000, 2), 90, 1e-3, rng), "take a larger alpha"),
        (lambda rng: from_owners(np.array([0, 2], dtype=np.int32), 3), "client 1 has no train image"),
        (lambda rng: from_owners(np.array([0, 3], dtype=np.int32), 3), "owners must be from 0 to 2"),
        (lambda rng: iid(5, 2, rng).of(2), "client must be from 0 to 1"),
        (lambda rng: label_counts(iid(5, 2, rng), labels_of(4, 2), 2), "labels must be those"),
    ],
)
def test_what_cannot_be_is_refused(make, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make(np.random.default_rng(0))


def test_rows_that_do_not_fit_are_refused() -> None:
    indices = np.arange(4, dtype=np.int32)
    for offsets in ([0, 3], [1, 4], [0, 3, 2, 4], [0]):
        with pytest.raises(ValueError, match="offsets"):
            Partition(np.array(offsets, dtype=np.int64), indices)


def test_a_data_set_without_writers_says_what_else_there_is() -> None:
    dataset = writers()
    plain = make_dataset("plain", 3, dataset.train, dataset.test, "drawn")
    with pytest.raises(ValueError, match="dirichlet, shards or iid"):
        by_owner(plain)
    with pytest.raises(ValueError, match="no natural clients"):
        by_test_owner(plain)
