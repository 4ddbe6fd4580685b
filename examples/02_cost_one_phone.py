"""Read a measurement table, pick one configuration, and ask what a run costs under another bandwidth."""

from dataclasses import replace
from pathlib import Path

from costmodel.batch import batch_costs, find_batch_cost
from costmodel.workload import workloads
from fl_sim.converge import converge
from fl_sim.method import find_method
from fl_sim.plan import read_plan
from fl_sim.reading import find_reading
from profiler.table import read_table

path = Path(__file__).parent / "my_phone.csv"
costs = batch_costs({path.name: read_table(path)})
batch = find_batch_cost(costs, device="example phone", dataset="cifar10")
plan = read_plan(find_reading("epochs4_int8_payload"), workloads()["cifar10"], find_method("qfedupdate"))

for bandwidth_bit_per_s in (5e6, 10e6, 50e6):
    result = converge(replace(plan, bandwidth_bit_per_s=bandwidth_bit_per_s), batch)
    print(f"{bandwidth_bit_per_s / 1e6:4.0f} Mbit/s: {result.time_h:.3f} h, {result.client_kj:.3f} kJ per client")
