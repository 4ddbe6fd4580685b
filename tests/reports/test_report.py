import csv
import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from html.parser import HTMLParser
from io import StringIO
from pathlib import Path

import pytest

from fl_sim.reading import readings
from reports.figures import _draw, figure6_data
from reports.files import FILE_FORMATS, report_files
from reports.formats.latex import to_latex
from reports.formats.markdown import to_markdown
from reports.formats.page import to_page
from reports.formats.terminal import to_terminal
from reports.printout import printout
from reports.report import TABLES, Report, Request, build_report
from reports.table4 import Changes, paper_rows

Write = Callable[..., Path]
HEADER = "device,processor,precision,model,dataset,batch_size,stage,time_ms,energy_mj,source"


@pytest.fixture(scope="module")
def paper() -> Report:
    return build_report(Request())


def test_paper_mode_shows_every_table_with_mode_units_and_manifest(paper: Report) -> None:
    names = [table.name for table in paper.tables]
    readings = ["epochs4_int8_payload", "epochs1_fp32_payload"]
    assert names == ["table1", "table2", "table3", *(f"table4_{name}" for name in readings), "stages", "claims"]
    assert all(table.mode == "paper" and table.units for table in paper.tables)
    assert all((table.data["mode"] == "paper").all() for table in paper.tables)
    assert paper.reproduced
    assert paper.warnings == ()
    assert {"python", "fedjoule", "numpy", "pandas"} <= set(paper.manifest.versions)
    assert any(entry.name == "fl_sim/readings.toml" for entry in paper.manifest.inputs)


@pytest.mark.parametrize("which", [0, 1, 2])
def test_tables_1_to_3_are_inputs_typed_as_printed(paper: Report, which: int) -> None:
    data = paper.tables[which].data
    verdicts = [*data["time_verdict"], *data["energy_verdict"]]
    assert set(verdicts) <= {"as printed", "not printed"}
    assert verdicts.count("not printed") == (1 if which == 2 else 0)


def test_the_inferred_time_is_marked_in_table_3_and_in_table_4(paper: Report) -> None:
    third, fourth = paper.tables[2], paper.tables[3]
    assert [cell.text for row in third.rows for cell in row if cell.text.endswith("*")] == ["8*", "2.5*"]
    assert any("inferred, not measured" in note for note in third.notes)
    assert [cell.text for row in fourth.rows for cell in row if cell.text.endswith("*")] == ["0.0723*"]
    assert any("radio (upload)" in note for note in fourth.notes)


def test_the_same_request_gives_the_same_bytes(paper: Report, phone: Path) -> None:
    request = Request(measurements=(phone,))
    once, again = (report_files(build_report(request), FILE_FORMATS) for _ in range(2))
    assert once == again
    assert {"tables.md", "tables.tex", "tables.html", "figure6.svg", "figure6.png", "manifest.json"} <= set(once)
    assert once["figure6.png"].startswith(b"\x89PNG")


def test_every_form_holds_the_same_cells(paper: Report) -> None:
    table = paper.tables[3]
    texts = [cell.text for row in table.rows for cell in row]
    forms = {
        "narrow terminal": to_terminal([table], paper.manifest, width=200, colour=False, ascii_only=True),
        "markdown": to_markdown([table], paper.manifest),
        "terminal": to_terminal([table], paper.manifest, width=None, colour=False),
        "html": to_page([table], paper.manifest, (), ()),
        "latex": to_latex([table], paper.manifest),
    }
    for form, text in forms.items():
        plain = text.replace("\\", "").replace("{*}", "*")
        assert all(cell in plain for cell in texts), form
        assert "34 within rounding, 2 truncated" in plain, form
        assert "versions" in plain, form


def test_csv_holds_the_figures_at_full_precision(paper: Report) -> None:
    text = printout(paper.tables[3:4], paper.manifest, "csv")
    lines = {(line["row"], line["workload"]): line for line in csv.DictReader(StringIO(text))}
    row = lines["Q-FedUpdate (M)", "cifar10"]
    assert float(row["time_h"]) == pytest.approx(175 * (4 * 500 / 64 * 0.397 + 24) / 3600, rel=1e-15)
    assert [float(row[f"{phase}_s"]) for phase in ("download", "train", "upload", "wait")] == [
        12.0,
        12.40625,
        12.0,
        0.0,
    ]


def test_a_phone_becomes_further_rows_and_never_shares_a_table_with_the_paper(phone: Path) -> None:
    report = build_report(Request(tables=("4",), readings=("epochs4_int8_payload",), measurements=(phone,)))
    own, paper_, further = report.tables
    assert (own.mode, paper_.mode, further.mode) == ("your table", "paper", "paper's rounds, own costs")
    data = further.data.set_index("row")
    row = data.loc["Q-FedUpdate on Pixel 8 npu"]
    assert row["time_h"] == pytest.approx(175 * (31.25 * 0.210 + 24) / 3600)
    assert row["energy_kj"] == pytest.approx(175 * 31.25 * 0.520 / 2 / 1e3)
    assert data["energy_kj"].isna().sum() == 1  # the row without energy stays without
    assert set(data.index) == {
        "FloatFL on Pixel 8 cpu",
        "QuanFL on Pixel 8 cpu",
        "Q-FedUpdate on Pixel 8 cpu",
        "Q-FedUpdate on Pixel 8 npu",
    }


def test_measured_rounds_cost_the_papers_phones_and_ones_own(phone: Path, write: Write) -> None:
    text = "method,dataset,rounds,epochs,accuracy_pct\nqfedavg,cifar10,300,2,66.5\n"
    rounds = write(text, "rounds.csv")
    report = build_report(
        Request(tables=("4",), readings=("epochs4_int8_payload",), measurements=(phone,), rounds=rounds)
    )
    further = report.tables[-1]
    assert further.mode == "measured"
    data = further.data.set_index("device")
    assert list(data.index) == ["Xiaomi 10", "Xiaomi 10", "Redmi Note 9", "Xiaomi 11 Pro", "Pixel 8"]
    assert set(data["epochs"]) == {2}
    assert set(data["accuracy_pct"]) == {66.5}
    assert data.loc["Pixel 8", "time_h"] == pytest.approx(300 * (2 * 7.8125 * 0.210 + 24) / 3600)


def test_rows_that_fit_no_workload_are_named_and_not_lost(write: Write) -> None:
    rows = [
        "Pixel 8,cpu,fp32,ResNet-18,CIFAR-10,32,total,900,4200,s",
        "Pixel 8,cpu,fp32,VGG-16,CIFAR-10,32,total,900,4200,s",
        "Pixel 8,gpu,fp16,VGG-16,CIFAR-10,64,total,900,4200,s",
    ]
    report = build_report(Request(measurements=(write("\n".join([HEADER, *rows]) + "\n"),)))
    assert len(report.warnings) == 3
    assert all("has no row in Table 4" in line for line in report.warnings)
    assert "no method here trains in fp16" in report.warnings[2]
    stages = write(f"{HEADER}\nPixel 8,cpu,int8,VGG-16,CIFAR-10,64,train,900,4200,s\n", "stages.csv")
    assert "no row of stage 'total'" in build_report(Request(measurements=(stages,))).warnings[0]


def test_a_changed_input_is_no_reproduction_and_says_so() -> None:
    report = build_report(Request(tables=("4",), changes=Changes(bandwidth_bit_per_s=5e6)))
    assert {table.mode for table in report.tables} == {"paper, inputs changed"}
    assert report.reproduced
    assert report.manifest.parameters["changed"] == "bandwidth 5 Mbit/s"
    assert report.manifest.parameters["mode"] == "paper, inputs changed"
    files = report_files(report, ["html", "svg"])
    assert set(csv_lines(files["figure6.csv"], "mode")) == {"paper, inputs changed"}
    assert "mode: paper, inputs changed, reading epochs4_int8_payload. Bars" in files["tables.html"].decode()


def test_the_manifest_hashes_a_persons_inputs(phone: Path) -> None:
    report = build_report(Request(tables=("2",), measurements=(phone,)))
    files = report_files(report, ["csv"])
    inputs = {entry["name"]: entry for entry in json.loads(files["manifest.json"])["inputs"]}
    assert inputs["my_phone.csv"]["size_bytes"] == phone.stat().st_size
    phone.write_text(phone.read_text().replace("31.5", "31.6"))
    other = report_files(build_report(Request(tables=("2",), measurements=(phone,))), ["csv"])
    changed = {entry["name"]: entry for entry in json.loads(other["manifest.json"])["inputs"]}
    assert changed["my_phone.csv"]["sha256"] != inputs["my_phone.csv"]["sha256"]


def test_two_files_of_one_name_are_refused(phone: Path, tmp_path: Path) -> None:
    other = tmp_path / "other" / phone.name
    other.parent.mkdir()
    other.write_text(phone.read_text())
    with pytest.raises(ValueError, match="two measurement files are called"):
        build_report(Request(measurements=(phone, other)))


def csv_lines(raw: bytes, column: str) -> list[str]:
    return [line[column] for line in csv.DictReader(StringIO(raw.decode()))]


def test_ones_own_rows_follow_changed_inputs(phone: Path) -> None:
    changes = Changes(bandwidth_bit_per_s=20e6, batches="ceil")
    request = Request(tables=("4",), readings=("epochs4_int8_payload",), measurements=(phone,), changes=changes)
    further = build_report(request).tables[-1]
    assert further.mode == "paper's rounds, own costs, inputs changed"
    assert "Changed: bandwidth 20 Mbit/s, batches ceil." in further.notes
    row = further.data.set_index("row").loc["Q-FedUpdate on Pixel 8 npu"]
    assert row["time_h"] == pytest.approx(175 * (4 * 8 * 0.210 + 12) / 3600)


def test_a_cohort_from_the_rounds_file_counts(phone: Path, write: Write) -> None:
    for cohort, factor in ((50, 1.0), (10, 0.2)):
        text = f"method,dataset,rounds,clients_per_round\nqfedupdate,cifar10,175,{cohort}\n"
        request = Request(tables=("4",), readings=("epochs4_int8_payload",), rounds=write(text, "rounds.csv"))
        data = build_report(request).tables[-1].data.set_index("device")
        assert data.loc["Redmi Note 9", "energy_kj"] == pytest.approx(4.6484375 * factor)


def test_what_a_run_does_not_state_is_named_as_taken_from_the_reading(write: Write) -> None:
    text = "method,dataset,rounds,epochs,source\nfloatfl,cifar10,10,2,run 7\n"
    report = build_report(Request(tables=("4",), rounds=write(text, "rounds.csv")))
    notes = [note for table in report.tables if table.mode == "measured" for note in table.notes]
    assert any("from rounds.csv (run 7)" in note for note in notes)
    taken = [note for note in notes if "inferred and not measured" in note]
    assert len(taken) == 2
    assert all("clients_per_round, payload bytes" in note and "epochs," not in note for note in taken)
    assert sum(note.endswith("CIFAR-10 100 clients of 500 samples.") for note in notes) == 2


def test_a_phone_without_a_row_under_the_given_rounds_is_named(phone: Path, write: Write) -> None:
    rounds = write("method,dataset,rounds\nfloatfl,femnist,10\n", "rounds.csv")
    report = build_report(Request(tables=("4",), measurements=(phone,), rounds=rounds))
    assert [line.split(" has ")[0] for line in report.warnings] == [
        "my_phone.csv: Pixel 8 cpu int8 LeNet-5 FEMNIST batch 5",
        "my_phone.csv: Pixel 8 npu int8 vgg16 cifar10 batch 64",
    ]


def test_spread_and_inference_of_ones_own_rows_are_shown(write: Write) -> None:
    text = (
        f"{HEADER},time_ms_std,energy_mj_std,provenance\nP,cpu,fp32,LeNet-5,FEMNIST,5,total,40,180,s,1.5,9,inferred\n"
    )
    own = build_report(Request(tables=("2",), measurements=(write(text),))).tables[1]
    texts = [cell.text for cell in own.rows[0]]
    assert "40* +- 1.5" in texts
    assert "0.18 +- 0.009" in texts
    assert own.notes == ("* inferred, not measured",)
    assert (own.data["mode"] == "your table").all()


def test_rows_that_differ_in_conditions_alone_are_told_apart(write: Write) -> None:
    rows = [f"P,cpu,fp32,LeNet-5,FEMNIST,5,total,{time},180,s,{where}" for time, where in ((40, "cold"), (50, "hot"))]
    path = write("\n".join([f"{HEADER},conditions", *rows]) + "\n")
    data = (
        build_report(Request(tables=("4",), readings=("epochs4_int8_payload",), measurements=(path,))).tables[-1].data
    )
    assert list(data["row"])[:2] == ["FloatFL on P cpu (cold)", "FloatFL on P cpu (hot)"]


def test_own_rows_come_only_with_the_tables_they_belong_to(phone: Path) -> None:
    assert len(build_report(Request(tables=("1",), measurements=(phone,))).tables) == 1
    assert len(build_report(Request(tables=("claims",), measurements=(phone,))).tables) == 1


def test_claims_are_computed_under_the_reading_that_is_asked_for() -> None:
    (claims,) = build_report(Request(tables=("claims",), readings=("epochs1_fp32_payload",))).tables
    assert claims.title.endswith("epochs1_fp32_payload")
    assert set(claims.data["reading"]) == {"epochs1_fp32_payload"}


def test_a_reading_named_twice_is_shown_once() -> None:
    assert len(build_report(Request(tables=("4",), readings=("epochs4_int8_payload",) * 2)).tables) == 1


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.outside: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        names = ("src", "href", "xlink:href", "srcset", "data", "action")
        self.outside += [value for name, value in attrs if name in names and value and not value.startswith("#")]


def test_the_page_needs_no_network_and_no_script(paper: Report) -> None:
    page = report_files(paper, ["html"])["tables.html"].decode()
    parser = _Page()
    parser.feed(page)
    assert parser.outside == []
    assert "script" not in parser.tags
    assert "link" not in parser.tags
    assert not re.search(r"url\((?!#)|@import", page)
    assert parser.tags.count("table") == len(paper.tables)
    assert "svg" in parser.tags


def test_hostile_names_stay_text_in_every_form(write: Write) -> None:
    device = "<script>alert(1)</script> & $x_1$ |*`{} http://x.y"
    rows = f'{HEADER}\n"{device}",dsp,int8,VGG-16,CIFAR-10,64,total,300,900,"=cmd()"\n'
    rows += "Q,dsp,int8,[VGG-16,CIFAR-10,64,total,300,900,s\n"
    report = build_report(Request(tables=("4",), measurements=(write(rows),)))
    files = report_files(report, ["markdown", "latex", "html", "csv"])
    assert csv_lines(files["own_batches.csv"], "source") == ["'=cmd()", "s"]
    page = files["tables.html"].decode()
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "<script" not in files["tables.md"].decode()
    assert "http://x.y" not in files["tables.md"].decode()
    latex = files["tables.tex"].decode()
    assert r"\$x\_1\$" in latex
    assert r"\{\}" in latex
    assert not re.search(r"\\\\\s*[\[*]", latex)  # LaTeX would take these for arguments of the line break


def test_the_figure_draws_computed_bars_and_printed_diamonds(paper: Report) -> None:
    files = report_files(paper, ["svg"])
    assert ET.fromstring(files["figure6.svg"]).tag.endswith("svg")
    data = figure6_data(paper_rows(readings()["epochs4_int8_payload"]))
    assert len(data) == 15
    figure = _draw(data, "mode: paper")
    assert "mode: paper" in figure.get_suptitle()
    for number, axis in enumerate(figure.axes):
        metric = "energy_kj" if number < 3 else "time_h"
        panel = data[data["dataset"] == ("FEMNIST", "CIFAR-10", "CIFAR-100")[number % 3]]
        assert axis.get_title() == panel["dataset"].iloc[0]
        assert [bar.get_height() for bar in axis.patches] == panel[metric].tolist()
        assert list(axis.lines[0].get_ydata()) == panel[f"{metric}_printed"].tolist()
        hatched = [bool(bar.get_hatch()) for bar in axis.patches]
        assert hatched == [metric == "time_h" and origin == "inferred" for origin in panel["provenance"]]
    cifar10 = data[data["dataset"] == "CIFAR-10"].set_index("bar")
    assert cifar10.loc["Q-FedUpdate (M)", ["energy_kj", "energy_kj_printed"]].tolist() == [3.0078125, 3.0]
    assert cifar10.loc["Q-FedUpdate (M)", "time_h"] == pytest.approx(1.7697, abs=5e-5)


@pytest.mark.parametrize("width", [80, 100, 120])
def test_nothing_is_cut_off_on_a_narrow_terminal(paper: Report, phone: Path, width: int) -> None:
    report = build_report(Request(measurements=(phone,)))
    whole = {"method", "data set", "dataset", "model", "T (h)", "E (kJ)", "T (ms)", "E (J)", "rounds"}
    for table in report.tables:
        text = to_terminal([table], report.manifest, width=width, colour=False)
        lines = text.splitlines()
        assert max(map(len, lines)) <= width, table.name
        assert "…" not in text, table.name
        words = set(" ".join(lines).split())
        for row in table.rows:
            for column, cell in zip(table.columns, row, strict=True):
                if column.title in whole:
                    assert set(cell.text.split()) <= words, (table.name, column.title, cell.text)


def test_very_many_rows_are_counted_and_not_all_printed(write: Write) -> None:
    rows = "\n".join(f"P{number},cpu,fp32,LeNet-5,FEMNIST,5,total,40,180,s" for number in range(300))
    report = build_report(Request(tables=("2",), measurements=(write(f"{HEADER}\n{rows}\n"),)))
    assert "and 100 more rows: see --format csv" in to_terminal(
        report.tables, report.manifest, width=None, colour=False
    )
    assert len(report.tables[1].data) == 300


def test_only_what_is_asked_for_is_shown() -> None:
    assert [table.name for table in build_report(Request(tables=("2", "claims"))).tables] == ["table2", "claims"]
    assert "figure6.csv" not in report_files(build_report(Request(tables=("2",))), FILE_FORMATS)
    assert TABLES == ("1", "2", "3", "4", "stages", "claims")
