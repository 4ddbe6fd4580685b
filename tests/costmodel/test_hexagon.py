"""The analytic DSP model: its arithmetic, its bounds, and that no table of measurements takes it."""

import pytest

from costmodel.hexagon import OPERATIONS, by_macs_ms, by_packets_ms, counts, estimates, rate
from profiler.sheet import TableError
from profiler.table import check_table, paper_table

# Products of one image in one pass: LeNet-5 and VGG-16 by hand.
LENET = [24 * 24 * 20 * 25, 8 * 8 * 50 * 500, 800 * 500, 500 * 62]
VGG = [32 * 32 * 64 * 9 * c for c in (3, 64)]
VGG += [16 * 16 * 128 * 9 * c for c in (64, 128)]
VGG += [8 * 8 * 256 * 9 * c for c in (128, 256, 256)]
VGG += [4 * 4 * 512 * 9 * c for c in (256, 512, 512)]
VGG += [2 * 2 * 512 * 9 * 512] * 3


@pytest.mark.parametrize(
    ("model", "dataset", "batch", "layers"),
    [
        ("LeNet-5", "FEMNIST", 5, LENET),
        ("VGG-16", "CIFAR-10", 64, [*VGG, 5120]),
        ("VGG-16", "CIFAR-100", 64, [*VGG, 51200]),
    ],
)
def test_products_are_those_of_the_networks(model: str, dataset: str, batch: int, layers: list[int]) -> None:
    of = {(c.layer, c.operation): c for c in counts() if (c.model, c.dataset) == (model, dataset)}
    assert {c.batch_size for c in of.values()} == {batch}
    assert {layer for layer, _ in of} == set(range(len(layers)))
    for i, macs in enumerate(layers):
        for operation in ("forward", "error", "gradient"):
            if (i, operation) != (0, "error"):
                assert of[i, operation].macs == batch * macs
    assert (0, "error") not in of  # no error is taken back to the images
    assert sum(c.macs for c in of.values()) == batch * (3 * sum(layers) - layers[0])


def test_no_count_is_impossible() -> None:
    """A packet holds 4 instructions at most, and 2 of them multiply 128 bytes each."""
    for c in counts():
        assert c.operation in OPERATIONS
        assert 0 < c.packets <= c.instructions <= 4 * c.packets
        assert c.hvx_instructions <= c.instructions
        assert c.macs <= 256 * c.packets


def test_the_papers_rate_is_64_products_in_a_nanosecond() -> None:
    assert by_macs_ms(64_000_000, rate()) == pytest.approx(1.0)
    assert by_packets_ms(500_000, 500) == pytest.approx(1.0)
    with pytest.raises(ValueError, match=r"clock_mhz must be above 0 \(got 0\)"):
        by_packets_ms(1, 0)


def test_every_printed_batch_has_an_estimate() -> None:
    rows = estimates()
    assert [(e.device, e.dataset) for e in rows] == [
        (device, dataset)
        for device in ("Xiaomi 10", "Redmi Note 9", "Xiaomi 11 Pro")
        for dataset in ("FEMNIST", "CIFAR-10", "CIFAR-100")
    ]
    for e in rows:
        assert e.needed_packets_per_us == pytest.approx(rate().clock_mhz * e.by_packets_ms / e.printed_ms)
    fastest = {e.dataset: e for e in rows if e.device == "Xiaomi 11 Pro"}
    assert (fastest["CIFAR-10"].printed_ms, fastest["CIFAR-10"].provenance) == (300, "published")
    assert fastest["FEMNIST"].provenance == "inferred"


def test_the_papers_rate_cannot_explain_its_own_times() -> None:
    """128 products a cycle at 500 MHz is slower than what the paper measures for VGG-16 on two of three phones."""
    of = {e.device: e for e in estimates() if e.dataset == "CIFAR-10"}
    assert of["Xiaomi 10"].by_macs_ms > 2 * of["Xiaomi 10"].printed_ms
    assert of["Xiaomi 11 Pro"].by_macs_ms > 3 * of["Xiaomi 11 Pro"].printed_ms


def test_no_measurement_table_takes_an_analytic_row() -> None:
    table = paper_table("table2")
    table.loc[table.index[0], "provenance"] = "analytic"
    with pytest.raises(TableError, match=r"provenance.*analytic"):
        check_table(table)
