"""Manifests name every file that went into an output, once."""

from importlib import resources

from reports.manifest import Input, manifest
from reports.training.converged import paper_inputs
from reports.training.published import inputs


def test_an_input_stands_there_once_however_often_it_is_named() -> None:
    mine = Input("mine.csv", "0" * 64, 1)
    found = manifest("fedjoule figures", {}, [*inputs(), mine, *inputs(), mine]).inputs
    assert len({entry.name for entry in found}) == len(found)
    assert found[-1] == mine


def test_two_files_of_one_name_both_stand_there() -> None:
    two = [Input("phone.csv", digit * 64, 1) for digit in "01"]
    assert list(manifest("fedjoule tables", {}, two).inputs[-2:]) == two


def test_every_file_of_the_papers_data_is_in_the_manifest_of_a_command_that_reads_it() -> None:
    named = {entry.name for entry in manifest("any", {}, [*inputs(), *paper_inputs()]).inputs}
    files = {f"reports/paper/{entry.name}" for entry in (resources.files("reports") / "paper").iterdir()}
    assert files <= named
