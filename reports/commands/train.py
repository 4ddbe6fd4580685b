"""``fedjoule train``: federated training of real models, in FP32 or in integers, with its log."""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from profiler.names import printable
from reports.commands.options import folder

if TYPE_CHECKING:
    from fl_sim.config import Config
    from fl_sim.setting import Setting

_ROUNDINGS = click.Choice(["nearest", "pseudo-stochastic", "stochastic"])


@click.command()
@click.option(
    "--config", "file", type=click.Path(path_type=Path), metavar="FILE", help="Settings as TOML; options win."
)
@click.option("--method", help="floatfl, quanfl, qfedavg, qfedupdate or a variant.  [default: qfedupdate]")
@click.option("--dataset", help="digits, mnist, mnist10k, femnist, cifar10, cifar100.  [default: digits]")
@click.option("--data-dir", callback=folder, metavar="DIR", help="Where the data set's files lie; else downloaded.")
@click.option("--model", help="lenet5, vgg16, ..., or a description.  [default: the data set's]")
@click.option("--bias/--no-bias", default=None, help="Biases, for methods that train in FP32.  [default: no-bias]")
@click.option("--partition", type=click.Choice(["natural", "writer", "dirichlet", "shards", "iid"]))
@click.option("--alpha", type=float, help="Of Dirichlet: small is uneven.  [default: 0.5]")
@click.option("--shards-per-client", type=int, help="[default: 2]")
@click.option("--clients", type=int, help="Registered clients, N.  [default: all writers, or 100]")
@click.option("--cohort", type=int, help="Clients of a round, K.  [default: 10]")
@click.option("--rounds", type=int, help="[default: 100]")
@click.option("--epochs", type=int, help="Local epochs, E.  [default: 1]")
@click.option("--batch-size", type=int, help="[default: 5]")
@click.option("--learning-rate", metavar="SCHEDULE", help="FP32: such as 0.01 or '0.01 0.001@100'.  [default: 0.05]")
@click.option("--momentum", type=float, help="FP32, within a client's round.  [default: 0]")
@click.option("--weight-decay", type=float, help="FP32.  [default: 0]")
@click.option("--mu", metavar="SCHEDULE", help="INT8: bits of an update, such as '3 2@100'.  [default: 1]")
@click.option("--mu-conv", metavar="SCHEDULE", help="INT8: of convolutions.  [default: --mu]")
@click.option("--mu-fc", metavar="SCHEDULE", help="INT8: of fully connected layers.  [default: --mu]")
@click.option("--activation-rounding", type=_ROUNDINGS, help="[default: nearest]")
@click.option("--error-rounding", type=_ROUNDINGS, help="[default: nearest]")
@click.option("--update-rounding", type=_ROUNDINGS, help="[default: pseudo-stochastic]")
@click.option("--loss-rounding", type=_ROUNDINGS, help="[default: pseudo-stochastic]")
@click.option("--server-rate", type=float, help="Of accumulated updates.  [default: the method's]")
@click.option("--server-momentum", type=float, help="Of accumulated updates.  [default: the method's]")
@click.option("--evaluate-every", type=int, help="Rounds.  [default: 1]")
@click.option("--evaluation-batch", type=int, help="Test images judged at a time.  [default: 100]")
@click.option("--seed", type=int, help="[default: 0]")
@click.option("--out", callback=folder, metavar="DIR", help="The run's folder.  [default: runs/METHOD-DATASET-SEED]")
@click.option("--resume", is_flag=True, help="Go on with the run in --out; --rounds may be more than before.")
@click.option(
    "--engine",
    type=click.Choice(["auto", "native", "eager", "stacked"]),
    default="auto",
    show_default=True,
    help="What trains; it changes the time, not the result.",
)
@click.option("--workers", type=click.IntRange(1, 1024), help="Threads of the native engine.  [default: cores]")
@click.option("--torch-device", default="cpu", show_default=True, help="Of eager and stacked: cpu, cuda, cuda:1.")
@click.option(
    "--product",
    type=click.Choice(["auto", "int_mm", "split", "float32", "float64", "oracle"]),
    default="auto",
    show_default=True,
    help="INT8 matrix product of eager and stacked.",
)
def train(
    file: Path | None,
    data_dir: Path | None,
    out: Path | None,
    resume: bool,
    engine: str,
    workers: int | None,
    torch_device: str,
    product: str,
    **options: Any,
) -> None:
    """Train a model federatedly, and log what every client-round sent, received and computed.

    The log holds no time and no energy: `fedjoule cost RUN` prices a finished run for any phone without training
    again. Interrupted or killed, a run goes on with --resume and ends as if nothing had happened. Several processes
    or machines: torchrun --nproc-per-node 2 --no-python fedjoule train ... --out DIR.

    \b
    Examples:
      fedjoule train                                          digits, a few seconds
      fedjoule train --method qfedavg --cohort 20 --rounds 200 --out runs/avg
      fedjoule train --dataset femnist --data-dir data --clients 192 --cohort 20 --epochs 4 --rounds 300 \\
                     --mu '3 2@101 1@168 0@234' --out runs/x
      fedjoule train --config runs/x/config.toml --seed 1 --out runs/y
      fedjoule train --resume --out runs/x
    """
    from fl_sim.engine import Place, open_engine
    from fl_sim.ranks import open_ranks
    from fl_sim.run import work_of
    from fl_sim.simulation import begin, check_vacant, simulate
    from reports.training.progress import accuracies, follow

    given = {name: value for name, value in options.items() if value is not None}
    config = _config(file, given, out, resume)
    run = out or Path("runs") / f"{config.method}-{config.dataset}-{config.seed}"
    ranks = open_ranks()
    try:
        if not ranks.rank and not resume:
            check_vacant(run)
        setting = _setting(config, data_dir)
        name = _engine(setting, engine, torch_device)
        place = Place(_workers(name, workers), torch_device, product)
        with_it = open_engine(name, work_of(setting), place)
        try:
            if ranks.rank:
                for _ in simulate(setting, with_it, run, ranks=ranks, resume=resume):
                    pass
                return
            click.echo(_about(setting, name, place.workers, ranks.count), err=True)
            if not resume:
                begin(run, config)
            progress = simulate(setting, with_it, run, ranks=ranks, resume=resume)
            try:
                last = follow(progress, sys.stderr.isatty())
            except KeyboardInterrupt:
                click.echo(f"fedjoule: stopped; go on with: {_resumed(run, data_dir, options['rounds'])}", err=True)
                raise
            finally:
                progress.close()
        finally:
            with_it.close()
    finally:
        ranks.close()
    click.echo(f"{accuracies(last)} after {config.rounds} rounds; the run is in {printable(run, 300)}")


def _resumed(run: Path, data_dir: Path | None, rounds: int | None) -> str:
    """Return the command that goes on with a run: with what the run itself does not keep until it has ended."""
    words = ["fedjoule", "train", "--resume", "--out", str(run)]
    words += [] if data_dir is None else ["--data-dir", str(data_dir)]
    words += [] if rounds is None else ["--rounds", str(rounds)]
    return printable(shlex.join(words), 1000)


def _config(file: Path | None, given: dict[str, Any], out: Path | None, resume: bool) -> "Config":
    """Return the settings of a file with those of the options over them; of a resumed run, its own."""
    from dataclasses import replace

    from fl_sim.config import Config, read_config_file
    from fl_sim.simulation import begun_config

    settings = read_config_file(file) if file else {}
    if not resume:
        return Config(**settings | given)
    if out is None:
        message = "--resume needs the run's --out"
        raise click.UsageError(message)
    return replace(begun_config(out), **settings | given)


def _setting(config: "Config", data_dir: Path | None) -> "Setting":
    from fl_sim.server import aggregator_of
    from fl_sim.setting import make_setting
    from reports.training.dataset import dataset_of

    setting = make_setting(config, dataset_of(config, data_dir))
    aggregator_of(setting)  # refused now, the run's folder is not yet there
    return setting


def _engine(setting: "Setting", asked: str, device: str) -> str:
    """Return the engine: the native one, built now if need be, unless the run needs torch or no compiler is here."""
    import importlib.util

    from fl_sim.trainer import Fp32
    from profiler.native.compiler import CompilerMissing

    if importlib.util.find_spec("pyarrow") is None:  # said now, not after hours of training
        message = "training needs pyarrow, to write its log: pip install 'fedjoule[simulate]'"
        raise ValueError(message)
    trainer = setting.trainer
    plain = not isinstance(trainer, Fp32) or not (trainer.momentum or trainer.weight_decay)
    if asked == "auto" and not plain and importlib.util.find_spec("torch") is None:
        message = "momentum and weight_decay need torch: pip install 'fedjoule[train]', or leave them out"
        raise ValueError(message)
    if asked not in ("auto", "native") or (asked == "auto" and not (plain and device == "cpu")):
        return "eager" if asked == "auto" else asked
    try:
        _build()
    except CompilerMissing as error:
        if asked == "auto" and importlib.util.find_spec("torch") is not None:
            return "eager"
        message = "the native engine is built by a compiler, and there is none: pip install 'fedjoule[simulate]'"
        raise ValueError(message) from error
    return "native"


def _build() -> None:
    """Build the kernels for this machine unless they lie in the cache, and say so: it takes half a minute."""
    from profiler.native.build import built_library
    from reports.profile.building import building

    with building() as tell:
        built_library(tell=tell)


def _workers(engine: str, asked: int | None) -> int:
    """Return the threads to work with: as many as are asked for, or as there are cores for each process here."""
    if asked is not None or engine != "native":
        return asked or 1
    import os

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))


def _about(setting: "Setting", engine: str, workers: int, ranks: int) -> str:
    config, partition = setting.config, setting.partition
    where = f"{engine} engine, {workers} worker{'s' * (workers > 1)}" + (f", {ranks} processes" if ranks > 1 else "")
    return (
        f"{setting.method.title}, {setting.model.name} ({setting.model.parameters:,} weights) on {config.dataset}: "
        f"{config.cohort} of {partition.clients:,} clients a round, {config.rounds} rounds; {where}"
    )
