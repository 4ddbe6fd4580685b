"""Train three INT8 methods on digits, then cost the runs on a phone: trained once, costed as often as you ask."""

from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

from costmodel.batch import batch_costs
from fl_sim.config import Config
from fl_sim.converged import curve, rounds_to
from fl_sim.data.catalog import load
from fl_sim.engine import Place, open_engine
from fl_sim.finished import read_run
from fl_sim.recost import client_rounds, fitting, recost, run_cost
from fl_sim.run import work_of
from fl_sim.setting import make_setting
from fl_sim.simulation import begin, simulate
from profiler.table import read_table

TARGET = 0.6

path = Path(__file__).parent / "my_digits.csv"
costs = batch_costs({path.name: read_table(path)})
digits = load("digits")
runs = TemporaryDirectory()  # a folder of yours keeps them

for method in ("qfedavg", "qfedupdate", "qfedupdate_momentum"):
    config = Config(method=method, clients=50, cohort=20, batch_size=20, rounds=60)
    setting, folder = make_setting(config, digits), Path(runs.name) / method
    begin(folder, config)
    with closing(open_engine("native", work_of(setting), Place(workers=2))) as engine:
        for _ in simulate(setting, engine, folder):
            pass

    run = read_run(folder)
    accuracies = curve(run)
    rounds = rounds_to(accuracies, window=5, target=TARGET)
    when = f"after {rounds} rounds" if rounds else "never"
    last = 100 * accuracies.accuracy[-1]
    print(f"{run.method.title}: {100 * TARGET:.0f} % in INT8 {when}, {last:.1f} % at the end")
    for fit in fitting(run, costs) if rounds else ():
        cost = run_cost(recost(client_rounds(run), fit.batch, bandwidth_bit_per_s=10e6), rounds)
        joules = 1e3 * (cost.client_kj or 0)
        print(f"  {fit.batch.device}, {fit.batch.processor}: {3600 * cost.time_h:.2f} s, {joules:.3f} J per client")
