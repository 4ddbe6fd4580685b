import pandas as pd
import pytest

from reports.formats.csv import to_csv
from reports.manifest import Manifest
from reports.printout import printout, show
from reports.table import Table

ABOUT = Manifest("fedjoule tables", {"table": "4"}, (), {"python": "3"})


def table(mode: str = "fleet", **columns: list[object]) -> Table:
    return Table("t", "T", mode, "", (), (), pd.DataFrame(columns))


def test_csv_has_the_mode_of_its_table_unless_its_rows_have_their_own() -> None:
    assert to_csv(table(x=[1, 2])) == "x,mode\n1,fleet\n2,fleet\n"
    assert to_csv(table(mode="paper, fleet", mode_=[0])) == 'mode_,mode\n0,"paper, fleet"\n'
    of_rows = Table("t", "T", "both", "", (), (), pd.DataFrame({"mode": ["paper", "fleet"], "x": [1, 2]}))
    assert to_csv(of_rows) == "mode,x\npaper,1\nfleet,2\n"


def test_csv_tables_of_the_same_columns_have_one_header_and_the_same_figures_stand_once() -> None:
    tables = [table(x=[1]), table(x=[2]), table(x=[2]), table("paper", x=[2]), table(y=[2]), table(x=[3])]
    text = printout(tables, ABOUT, "csv")
    assert text == "x,mode\n1,fleet\n2,fleet\n2,paper\n\ny,mode\n2,fleet\n\nx,mode\n3,fleet\n"


@pytest.mark.parametrize("form", ["csv", "markdown"])
def test_what_is_printed_has_its_manifest_in_it_but_for_csv(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    show(printout([table(x=[1])], ABOUT, form), ABOUT, form)
    said = capsys.readouterr()
    assert ("command: fedjoule tables; table = 4" in said.out) == (form != "csv")
    assert said.err.startswith("command: fedjoule tables; table = 4\n") == (form == "csv")
