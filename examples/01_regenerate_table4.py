"""Compute Table 4 from the published per-batch costs and count the verdicts."""

from collections import Counter

from fl_sim.reading import readings
from reports.table4 import table4

for reading in readings().values():
    data = table4(reading).data
    verdicts = Counter([*data["time_verdict"], *data["energy_verdict"]])
    print(reading.name, dict(verdicts))
