from pathlib import Path
from typing import Any

from profiler.campaign.rows import rows_of

RUN_NS = 30_000_000_000


def test_a_run_that_waited_for_a_core_is_a_doubt_and_no_row(instant: Any, tmp_path: Path) -> None:
    for name, share in (
        (each.name, 0.05 + 0.3 * (number == 0)) for number, each in enumerate(instant.plan.measurements())
    ):
        file = f"run/results/{name}/out.txt"
        text = instant.phone.path(file).read_text()
        instant.phone.write(file, text.replace('"rc": 0,', f'"rc": 0, "waited_ns": {int(share * RUN_NS)},'))
    with instant.open() as device:
        records = instant.run(device.address, tmp_path / "campaign")
    assert [[flag["code"] for flag in record["flags"]] for record in records] == [["busy"], []]
    assert [record["verdict"] for record in records] == ["doubtful", "valid"]
    rows = rows_of(records)
    assert len(rows.table) == 1
    assert "waited for a core for 35 % of the run" in rows.left_out[0] or "35%" in rows.left_out[0]
