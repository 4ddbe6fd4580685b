"""Play Q-FedUpdate on phones that come and go: three deadlines, what each costs and wastes, and whom it leaves out."""

from costmodel.workload import workloads
from fl_sim.device_map import map_devices
from fl_sim.fleet_log import to_frames
from fl_sim.fleet_plan import paper_plan
from fl_sim.fleet_run import fleet_rounds
from fl_sim.fleet_summary import summarize
from fl_sim.method import find_method
from fl_sim.reading import find_reading
from fl_sim.rules import Rules
from fl_sim.selection import open_selector
from reports.table4 import paper_costs
from traces.open import FleetOptions, open_fleet

fleet = open_fleet("flash", options=FleetOptions(phones=2000)).fleet
plan = paper_plan(find_reading("epochs4_int8_payload"), workloads()["cifar10"], find_method("qfedupdate"), rounds=50)
phones = map_devices(
    fleet.hardware, paper_costs(), plan.method, model=plan.model, dataset=plan.dataset, batch_size=plan.batch_size
)
load = plan.load(phones)
print(f"{plan.method.title} on {plan.dataset}, {plan.rounds} rounds, {fleet.phones:,} phones of {fleet.name}")

for deadline_s in (60.0, 32.0, 28.0):
    rules = Rules(cohort=plan.cohort, over_commit=1.3, round_end="kth", deadline_s=deadline_s)
    selector = open_selector("available", fleet, load, rules)
    played = fleet_rounds(fleet, load, rules, selector, plan.rounds, seed=0)
    found = summarize(
        fleet, *to_frames(played, rules.least), wanted=plan.rounds, cohort=plan.cohort, registered=plan.clients
    )
    slow = next(tier for tier in found.tiers if tier.name == "low")
    print(
        f"deadline {deadline_s:3.0f} s: {60 * found.hours:4.1f} min, {found.energy_j / 1e3:5.1f} kJ, "
        f"{found.wasted_j_share:4.0%} of it wasted; {found.updates_share:4.0%} of the updates, "
        f"{slow.updates_share:3.0%} of them from slow phones, which are {slow.phones_share:.0%}"
    )
