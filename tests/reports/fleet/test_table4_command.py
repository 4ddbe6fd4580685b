"""``fedjoule fleet table4`` on a small fleet of one's own: what it says of the traces, and of their copies."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from reports.commands.fleet import fleet

PHONES = 20


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A table of phones that are ready at night, every night, and of which no rates are known."""
    rows = [f"{phone},0,28800,86400,{('low', 'medium', 'high')[phone % 3]}\n" for phone in range(PHONES)]
    path = tmp_path / "small.csv"
    path.write_text("phone,start_s,end_s,period_s,tier\n" + "".join(rows))
    return path


def table4(own: Path, phones: int) -> Result:
    options = ["--fleet", str(own), "--phones", str(phones), "--workload", "femnist", "--seeds", "1"]
    return CliRunner().invoke(fleet, ["table4", *options, "--format", "markdown"], catch_exceptions=False)


def test_copies_in_step_and_what_was_odd_are_told(own: Path) -> None:
    done = table4(own, 1200)
    drawn = "1,200 phones drawn with replacement from its 20, copies in step: their traces repeat within two days"
    assert drawn in done.stdout
    odd = "Left, but odd: 20 phones without rates, given 10 Mbit/s; see fedjoule fleet describe."
    assert done.stdout.count(odd) == 2  # below the times, and below the energies
    assert done.stderr.startswith("warning: 1,200 phones are drawn with replacement from the 20 of small, so most are")
    assert len(done.stderr.splitlines()) == 1


def test_ten_times_as_many_phones_as_there_are_is_no_warning(own: Path) -> None:
    assert table4(own, 10 * PHONES).stderr == ""
