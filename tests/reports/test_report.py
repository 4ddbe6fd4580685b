import csv
import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from html.parser import HTMLParser
from io import StringIO
from pathlib import Path

import pandas as pd
import pytest

from reports.formats.latex import to_latex
from reports.formats.markdown import to_markdown
from reports.formats.page import to_page
from reports.formats.terminal import to_terminal
from reports.printout import printout
from reports.report import FILE_FORMATS, TABLES, Report, Request, build_report, report_files
from reports.table4 import Changes

Write = Callable[..., Path]
HEADER = "device,processor,precision,model,dataset,batch_size,stage,time_ms,energy_mj,source"


@pytest.fixture(scope="module")
def paper() -> Report:
    return build_report(Request())


def test_paper_mode_shows_every_table_with_mode_units_and_manifest(paper: Report) -> None:
    names = [table.name for table in paper.tables]
    readings = ["epochs4_int8_payload", "epochs1_fp32_payload"]
    assert names == ["table1", "table2", "table3", *(f"table4_{name}" for name in readings), "claims"]
    assert all(table.mode == "paper" and table.units for table in paper.tables)
    assert all((table.data["mode"] == "paper").all() for table in paper.tables)
    assert paper.reproduced
    assert paper.warnings == ()
    assert {"python", "fedjoule", "numpy", "pandas"} <= set(paper.manifest.versions)
    assert any(entry.name == "fl_sim/readings.toml" for entry in paper.manifest.inputs)


@pytest.mark.parametrize("which", [0, 1, 2])
def test_tables_1_to_3_equal_the_printed_cells(paper: Report, which: int) -> None:
    data = paper.tables[which].data
    verdicts = [*data["time_verdict"], *data["energy_verdict"]]
    assert set(verdicts) <= {"within rounding", "not printed"}
    assert verdicts.count("not printed") == (1 if which == 2 else 0)


def test_the_inferred_time_is_marked_in_table_3_and_in_table_4(paper: Report) -> None:
    third, fourth = paper.tables[2], paper.tables[3]
    assert [cell.text for row in third.rows for cell in row if cell.text.endswith("*")] == ["8*"]
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
        "markdown": to_markdown([table], paper.manifest),
        "terminal": to_terminal([table], paper.manifest, width=None, colour=False),
        "html": to_page([table], paper.manifest, None),
        "latex": to_latex([table], paper.manifest),
    }
    for form, text in forms.items():
        plain = text.replace("\\", "")
        assert all(cell in plain for cell in texts), form
        assert "34 within rounding, 2 truncated" in plain, form
        assert "versions" in plain, form


def test_csv_holds_the_figures_at_full_precision(paper: Report) -> None:
    text = printout(paper.tables[3:4], paper.manifest, "csv", terminal=False)
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
    assert (own.mode, paper_.mode, further.mode) == ("measured", "paper", "paper's rounds, own costs")
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
    assert all("is no row of Table 4" in line for line in report.warnings)
    stages = write(f"{HEADER}\nPixel 8,cpu,int8,VGG-16,CIFAR-10,64,train,900,4200,s\n", "stages.csv")
    assert "no row of stage 'total'" in build_report(Request(measurements=(stages,))).warnings[0]


def test_a_changed_input_is_no_reproduction_and_says_so() -> None:
    report = build_report(Request(tables=("4",), changes=Changes(bandwidth_bit_per_s=5e6)))
    assert {table.mode for table in report.tables} == {"what-if on paper mode"}
    assert report.reproduced
    assert report.manifest.parameters["bandwidth_bit_per_s"] == 5e6


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
    device = "<script>alert(1)</script> & $x_1$ |*`{}"
    rows = f'{HEADER}\n"{device}",dsp,int8,VGG-16,CIFAR-10,64,total,300,900,"=cmd()"\n'
    report = build_report(Request(tables=("4",), measurements=(write(rows),)))
    files = report_files(report, ["markdown", "latex", "html"])
    page = files["tables.html"].decode()
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "<script" not in files["tables.md"].decode()
    latex = files["tables.tex"].decode()
    assert r"\$x\_1\$" in latex
    assert r"\{\}" in latex


def test_the_svg_is_well_formed_and_shows_every_bar(paper: Report) -> None:
    files = report_files(paper, ["svg"])
    assert ET.fromstring(files["figure6.svg"]).tag.endswith("svg")
    data = pd.read_csv(StringIO(files["figure6.csv"].decode()))
    assert len(data) == 15
    assert data["energy_kj_printed"].notna().all()


def test_only_what_is_asked_for_is_shown() -> None:
    assert [table.name for table in build_report(Request(tables=("2", "claims"))).tables] == ["table2", "claims"]
    assert "figure6.csv" not in report_files(build_report(Request(tables=("2",))), FILE_FORMATS)
    assert TABLES == ("1", "2", "3", "4", "claims")
