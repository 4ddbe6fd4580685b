"""The shipped scenarios, and what every reading of the 25 ms would mean for them."""

from dataclasses import replace

import pandas as pd

from costmodel import period
from costmodel.paper_scenario import LETTERS, paper_scenario, scenario_names, stage_readings
from costmodel.scenario import pipeline_of
from reports.table import Cell, Column, Table, number


def scenario_table() -> Table:
    """Return sequential and overlapped milliseconds per batch of every shipped scenario and reading."""
    rows: list[tuple[Cell, ...]] = []
    data: list[dict[str, object]] = []
    for base in scenario_names():
        for letter in LETTERS:
            name = base if letter == "a" else f"{base}_{letter}"
            try:
                scenario = paper_scenario(name)
            except ValueError:
                rows.append((Cell(name), *(Cell("-", "faint") for _ in range(4)), Cell("impossible", "faint")))
                data.append({"scenario": name, "reading": letter.upper(), "verdict": "impossible"})
                continue
            pipeline = pipeline_of(scenario)
            after = period.overlapped(pipeline).period_ms
            single = period.overlapped(replace(pipeline, device_slots=1)).period_ms
            before, printed = pipeline.sequential_ms, scenario.printed_batch_ms or 0.0
            fits = after <= printed * 1.005
            verdict = Cell("fits Table 2-3", "good") if fits else Cell("contradicted", "bad")
            rows.append((Cell(name), number(before), number(single), number(after), number(printed), verdict))
            figures: dict[str, object] = {"scenario": name, "reading": letter.upper(), "verdict": verdict.text}
            data.append(
                figures
                | {"sequential_batch_ms": before, "one_slot_batch_ms": single, "overlapped_batch_ms": after}
                | {"printed_batch_ms": printed}
            )
    return Table(
        name="scenarios",
        title="Shipped scenarios: phone, workload, and reading of the 25 ms (A without a letter)",
        mode="paper, readings of the link assumed",
        units="ms per batch in the long run; printed: Tables 2 and 3",
        columns=(
            Column("scenario"),
            Column("sequential", numeric=True),
            Column("1 slot", numeric=True),
            Column("overlapped", numeric=True),
            Column("printed", numeric=True),
            Column("verdict"),
        ),
        rows=tuple(rows),
        data=pd.DataFrame(data),
        notes=(
            *(f"{letter.upper()}: {reading['title']}." for letter, reading in stage_readings().items()),
            "A scenario with a longer overlapped time than printed cannot be: Table 4 closes with the printed one. For"
            " FEMNIST that rejects every reading in which each batch pays 25 ms.",
        ),
    )
