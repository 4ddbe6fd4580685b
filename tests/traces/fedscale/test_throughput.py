"""A run of throughput: a rate a second, over and over; lines within bounds."""

from pathlib import Path

import numpy as np
import pytest

from traces.fedscale.throughput import read_throughput

SHARED = Path(__file__).parents[3] / "../shared/data/fedscale"
HEAD = "protocol,seq_num,throughput_mbps\n"


def test_a_row_is_a_second() -> None:
    network, report = read_throughput((HEAD + "TCP,1,92.1\nTCP,2,0\n\nTCP,9,150\n").encode())
    series = network.series
    assert series is not None
    assert network.kind == "trace"
    assert series.begin_s.tolist() == [0, 1, 2]
    assert series.period_s.tolist() == [3]
    np.testing.assert_allclose(series.download_bit_per_s, [92.1e6, 0, 150e6])
    np.testing.assert_allclose(series.upload_bit_per_s, series.download_bit_per_s)
    np.testing.assert_allclose(network.download_bit_per_s, [242.1e6 / 3])
    assert report.kept == 3
    assert "one second each" in report.flags[0][0]
    in_bytes, _ = read_throughput((HEAD + "TCP,1,2\n").encode(), unit="MB/s")
    assert in_bytes.download_bit_per_s.tolist() == [16e6]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("TCP,1,-3", "below 0"),
        ("TCP,1,nan", "not finite"),
        ("TCP,1,inf", "not finite"),
        ("TCP,1,1e300", "beyond a million"),
        ("TCP,1,fast", "no number"),
        ("TCP,1,", "no number"),
        ("TCP,1", "too short"),
    ],
)
def test_a_bad_row_is_dropped_and_counted(row: str, reason: str) -> None:
    _, report = read_throughput(f"{HEAD}TCP,1,5\n{row}\n".encode())
    assert report.kept == 1
    ((said, count),) = report.dropped
    assert (reason in said, count) == (True, 1)
    assert report.examples[0].endswith("line 3")


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", "must have a column throughput_mbps"),
        (b"a,b\n1,2\n", "must have a column throughput_mbps"),
        (HEAD.encode(), "must have a rate above 0"),
        (HEAD.encode() + b"TCP,1,0\n", "must have a rate above 0"),
        (HEAD.encode() + b"\xff\n", "line 2 is not in UTF-8"),
        (HEAD.encode() + b"\x00\n", "line 2 holds a NUL"),
        (HEAD.encode() + b"1" * 5000 + b"\n", "line 2 is longer than 4,096 bytes"),
        (HEAD.encode() + b'"', "is no CSV"),
    ],
)
def test_other_files_are_refused(raw: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        read_throughput(raw)


def test_a_line_of_a_gigabyte_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "one_line.csv"
    with path.open("wb") as stream:
        stream.write(HEAD.encode() + b"T")
        stream.truncate(1 << 30)
    with pytest.raises(ValueError, match="line 2 is longer than 4,096 bytes"):
        read_throughput(path)
    with pytest.raises(ValueError, match="ordinary file"):
        read_throughput(Path("/dev/zero"))


def test_the_unit_is_one_of_two() -> None:
    with pytest.raises(ValueError, match="unit must be Mbit/s or MB/s"):
        read_throughput(b"", unit="mbps")  # type: ignore[arg-type]


@pytest.mark.skipif(not SHARED.is_dir(), reason="the traces are not beside the checkout")
def test_the_run_of_the_public_file() -> None:
    network, report = read_throughput(SHARED / "throughput_4g5g.csv")
    assert report.kept == 310
    assert network.series is not None
    rates = network.series.download_bit_per_s / 1e6
    assert (rates.min(), rates.max(), np.median(rates)) == (
        pytest.approx(21, abs=0.5),
        pytest.approx(954, abs=0.5),
        147,
    )
