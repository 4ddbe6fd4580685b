from reports.fleet.reading_notes import reading_notes
from traces.report import Report


def test_each_kind_has_a_note_with_its_counts_and_reasons() -> None:
    report = Report(5, (("too short", 1200), ("no\x1bzone", 2)), (("out of order", 3),), (), (("rates in bit/s", 20),))
    dropped, repaired, odd = reading_notes(report)
    assert dropped == "Of its traces were dropped: 1,200 too short, 2 no?zone; see fedjoule fleet describe."
    assert repaired == "Of its traces were put right: 3 out of order; see fedjoule fleet describe."
    assert odd == "Left, but odd: 20 rates in bit/s; see fedjoule fleet describe."


def test_a_reading_that_changed_nothing_has_no_notes() -> None:
    assert not list(reading_notes(Report(5)))
