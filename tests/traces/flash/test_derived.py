import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from traces.availability import by_hour, duty, is_ready
from traces.flash import derived
from traces.flash.derived import STEP_S, read_grid, read_half_hours

FILE = Path(__file__).parents[4] / "shared/data/flash/availability_30min.npz"


def archive(grid: object, name: str = "available") -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, **{name: np.asarray(grid)})
    return file.getvalue()


def packed(member: bytes, name: str = "available.npy") -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, member)
    return file.getvalue()


def test_a_grid_by_hand() -> None:
    # Three half hours and the moment at which the grid begins anew; four phones.
    grid = np.array([[1, 0, -1, -1], [1, 1, 0, -1], [0, 1, 1, -1], [1, 1, 1, 1]], np.int8)
    a, report = read_half_hours(archive(grid))
    assert a.offsets.tolist() == [0, 1, 2, 3, 3]
    assert a.start_s.tolist() == [0, STEP_S, 2 * STEP_S]
    assert a.end_s.tolist() == [2 * STEP_S, 3 * STEP_S, 3 * STEP_S]
    assert a.period_s.tolist() == [3 * STEP_S] * 4
    assert report.kept == 4
    assert report.dropped == (("half hours of the last row, which begins the grid anew", 4),)
    assert report.repaired == (("half hours not known, taken as absent", 4),)
    assert report.flags == (("phones never ready", 1),)
    a, report = read_half_hours(archive(grid), unknown="present")
    assert duty(a).tolist() == pytest.approx([2 / 3, 2 / 3, 2 / 3, 1])
    assert report.repaired == (("half hours not known, taken as present", 4),)
    assert report.flags == ()


@given(st.lists(st.lists(st.sampled_from([-1, 0, 1]), min_size=3, max_size=3), min_size=2, max_size=12))
def test_each_half_hour_is_as_its_cell_says(rows: list[list[int]]) -> None:
    grid = np.array(rows, np.int8)
    for order in ("C", "F"):
        a, _ = read_half_hours(archive(np.asarray(grid, order=order)))  # type: ignore[call-overload]
        for phone in range(3):
            clock = np.arange(2 * (len(grid) - 1)) * STEP_S + 900.0
            wanted = np.tile(grid[:-1, phone] == 1, 2)
            assert (is_ready(a, phone, clock) == wanted).all()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not a whole .npz archive"),
        (archive(np.zeros((4, 4), np.int8))[:-30], "not a whole .npz archive"),
        (archive(np.zeros((4, 4), np.int8), "other"), "must be an archive with available.npy"),
        (archive(np.zeros((4, 4))), "must be int8 .*got float64 .4, 4."),
        (archive(np.zeros(4, np.int8)), "must be int8 "),
        (archive(np.zeros((1, 4), np.int8)), "with 2 half hours"),
        (archive(np.zeros((4, 0), np.int8)), "and 1 phone at least"),
        (archive(np.full((4, 4), 2, np.int8)), "must be 1 .* .got 2."),
        (archive(np.full((4, 4), -2, np.int8)), "must be 1 .* .got -2."),
        (archive(np.array([[{}, 1], [1, 1]], object)), "must be int8 .*got object"),
        (packed(b"not numpy's"), "not an array of numpy's"),
        (packed(b"\x93NUMPY\x01\x00\x10\x00{'descr': '|i1' "), "not an array of numpy's"),
        (packed(b"\x93NUMPY\x01\x00\x04\x00({[\n"), "not an array of numpy's"),
    ],
)
def test_files_that_are_refused(data: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_half_hours(data)


def test_a_header_that_promises_more_than_there_is() -> None:
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "|i1", "fortran_order": False, "shape": (10**9, 10**9)})
    with pytest.raises(ValueError, match="have 3 values, not those of the shape"):
        read_half_hours(packed(file.getvalue() + b"\1\0\1"))


def test_archives_that_unpack_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(derived, "MOST_UNPACKED_BYTES", 10_000)
    with pytest.raises(ValueError, match="unpack to more than 10000 bytes"):
        read_half_hours(packed(bytes(10_001)))


def test_options_that_cannot_be() -> None:
    with pytest.raises(ValueError, match=r"unknown must be one of absent, present \(got 'maybe'\)"):
        read_half_hours(archive(np.zeros((2, 1), np.int8)), unknown="maybe")  # type: ignore[arg-type]


@given(st.data())
def test_damaged_files_are_read_or_refused(data: st.DataObject) -> None:
    whole = bytearray(archive(np.eye(5, dtype=np.int8)))
    for place in data.draw(st.lists(st.integers(0, len(whole) - 1), min_size=1, max_size=3)):
        whole[place] = data.draw(st.integers(0, 255))
    try:
        read_half_hours(bytes(whole))
    except ValueError as error:
        assert str(error).isprintable()


@pytest.mark.skipif(not FILE.exists(), reason="the public file is not beside the checkout")
def test_the_public_file_has_the_figures_that_were_measured_on_it() -> None:
    grid = read_grid(FILE)
    assert grid.shape == (241, 723)
    assert np.mean(grid == -1) == pytest.approx(0.192, abs=5e-4)
    assert np.sum(grid == 1) / np.sum(grid >= 0) == pytest.approx(0.0812, abs=5e-5)
    known = np.where(grid >= 0, grid, np.nan)
    per_phone = np.nanmean(known, axis=0)
    assert np.sum(per_phone == 0) == 211
    assert np.quantile(per_phone, [0.5, 0.75, 0.9, 1]) == pytest.approx([0.042, 0.121, 0.224, 0.984], abs=5e-4)
    a, report = read_half_hours(FILE)
    assert a.traces == report.kept == 723
    assert (a.period_s == 5 * 86_400).all()
    # Unknown as absent: less than among the known half hours. The hours of the day come out as in the grid.
    assert duty(a).mean() == pytest.approx(np.mean(grid[:-1] == 1))
    hours = by_hour(a)
    by_grid = [np.mean(grid[:-1][np.arange(240) // 2 % 24 == hour] == 1) for hour in range(24)]
    assert hours == pytest.approx(by_grid)
    known_hours = [np.nanmean(known[:-1][np.arange(240) // 2 % 24 == hour]) for hour in range(24)]
    assert int(np.argmax(known_hours)) == 4
    assert int(np.argmin(known_hours)) in (13, 14)
    assert dict(report.flags) == {"phones never ready": 211}
