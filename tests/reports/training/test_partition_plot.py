"""The label histogram: every image is in it whatever the number of clients, and it is the same bytes every time."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.training.partition_plot import columns, partition_figure


def drawn(clients: int, classes: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 5, (clients, classes)) + np.eye(clients, classes, dtype=np.int64)


@given(st.integers(1, 1300), st.integers(1, 7), st.integers(0, 99))
def test_columns_hold_every_client_and_image(clients: int, classes: int, seed: int) -> None:
    counts = drawn(clients, classes, seed)
    table, held = columns(counts)
    assert len(table) == len(held) == min(clients, 500)
    assert held.sum() == clients
    assert held.max() - held.min() <= 1
    assert (table * held[:, None]).sum(0) == pytest.approx(counts.sum(0))
    assert (np.diff(table.sum(1)) <= 1e-9).all()


def test_up_to_500_clients_have_a_column_each() -> None:
    counts = drawn(500, 10)
    table, held = columns(counts)
    assert set(held.tolist()) == {1}
    assert sorted(map(tuple, table.astype(int).tolist())) == sorted(map(tuple, counts.tolist()))


@pytest.mark.parametrize(("clients", "classes"), [(1, 1), (10, 10), (1001, 62)])
def test_the_same_table_gives_the_same_bytes(clients: int, classes: int) -> None:
    counts = drawn(clients, classes)
    svg, png = partition_figure(counts, "drawn at random, $10 each")
    assert (svg, png) == partition_figure(counts, "drawn at random, $10 each")
    assert svg.startswith(b"<?xml")
    assert png.startswith(b"\x89PNG")
    assert len(svg) < 500_000


def test_another_partition_gives_another_picture() -> None:
    assert partition_figure(drawn(20, 10), "a")[0] != partition_figure(drawn(20, 10, 1), "a")[0]


@pytest.mark.parametrize("counts", [np.zeros((3, 2), int), np.zeros((0, 2), int), np.ones(3, int), np.array([[1, -1]])])
def test_a_table_without_images_is_refused(counts: np.ndarray) -> None:
    with pytest.raises(ValueError, match="counts must be images of clients by classes"):
        partition_figure(counts, "none")
