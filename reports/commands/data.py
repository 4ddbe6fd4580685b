"""``fedjoule data``: data sets and how they are dealt out to clients, before anything is trained."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from reports.commands.options import folder

if TYPE_CHECKING:
    from fl_sim.config import Config
    from fl_sim.data.dataset import Dataset
    from fl_sim.partition import Partition

_ENDINGS = (".svg", ".png", ".csv")


@click.group()
def data() -> None:
    """Data sets: fetch the official files, and see how they are dealt out to clients.

    Known: digits (embedded), mnist, mnist10k (its first 10,000 train images), cifar10, cifar100, and femnist by writer
    (from LEAF; there is nothing official to download).
    """


@data.command()
@click.argument("name")
def fetch(name: str) -> None:
    """Fetch the official files of a data set into the cache, unless they lie there whole.

    The cache is $FEDJOULE_CACHE/data, or fedjoule/data in your cache folder.

    \b
    Examples:
      fedjoule data fetch cifar10
    """
    from fl_sim.data.catalog import release_of
    from fl_sim.data.download import fetch as fetch_files
    from reports.training.dataset import tell

    release = release_of(name)
    if release is None:
        click.echo("digits come with fedjoule; there is nothing to fetch")
        return
    click.echo(f"{release.name} is in {fetch_files(release, tell=tell if sys.stderr.isatty() else None)}")


@data.command()
@click.option("--dataset", required=True, help="digits, mnist, mnist10k, femnist, cifar10 or cifar100.")
@click.option("--data-dir", callback=folder, metavar="DIR", help="Where the data set's files lie; else downloaded.")
@click.option("--partition", type=click.Choice(["natural", "writer", "dirichlet", "shards", "iid"]))
@click.option("--alpha", type=float, help="Of Dirichlet: small is uneven.  [default: 0.5]")
@click.option("--shards-per-client", type=int, help="[default: 2]")
@click.option("--clients", type=int, help="Of writers, those with most images.  [default: all writers, or 100]")
@click.option("--seed", type=int, help="The run's, which the partition follows.  [default: 0]")
@click.option(
    "--out", type=click.Path(path_type=Path), metavar="FILE", help="Write the label histogram: .svg, .png or .csv."
)
def describe(dataset: str, data_dir: Path | None, out: Path | None, **options: Any) -> None:
    """Say what is in a data set, and how `fedjoule train` deals it out with the same options.

    \b
    Examples:
      fedjoule data describe --dataset digits --clients 20
      fedjoule data describe --dataset femnist --data-dir data --clients 192 --out writers.svg
      fedjoule data describe --dataset cifar10 --partition dirichlet --alpha 0.5 --clients 100 --out cifar10.png
    """
    if out is not None and out.suffix.lower() not in _ENDINGS:
        message = f"--out must end in {', '.join(_ENDINGS)} (got {out.name!r})"
        raise click.UsageError(message)
    from fl_sim.config import Config
    from fl_sim.setting import make_setting
    from reports.training.dataset import dataset_of

    given = {name: value for name, value in options.items() if value is not None}
    config = Config(dataset=dataset, cohort=1, **given)
    found = dataset_of(config, data_dir)
    partition = make_setting(config, found).partition
    click.echo("\n".join([*_about(found), *_dealt(config, found, partition)]))
    if out is not None:
        _write(out, config, found, partition)
        click.echo(f"wrote {out}")


def _about(found: "Dataset") -> list[str]:
    from fl_sim.data.pixels import mantissa_table

    height, width, channels = found.train.pixels.shape[1:]
    colours = " in colour" if channels == 3 else ""
    people = f" by {found.owners:,} writers" if found.owners else ""
    moments = ", ".join(f"{mean:.4f} \u00b1 {std:.4f}" for mean, std in zip(found.mean, found.std, strict=True))
    return [
        f"{found.name}: {len(found.train):,} train and {len(found.test):,} test images{people}, "
        f"{height} x {width}{colours}, {found.classes} classes",
        f"  from                 {found.source}",
        f"  SHA-256 of content   {found.sha256}",
        f"  pixel / 255          {moments} (mean \u00b1 standard deviation)",
        f"  an INT8 step         2^{mantissa_table(found).exponent} standard deviations",
    ]


def _dealt(config: "Config", found: "Dataset", partition: "Partition") -> list[str]:
    from fl_sim.partition import describe as summary_of

    summary = summary_of(partition, found.train.labels, found.classes)
    return [
        f"{_title(config, found)}: {summary.clients:,} clients",
        f"  images of a client   {summary.fewest:,} to {summary.most:,}, median {summary.median:,.0f}, "
        f"mean {summary.mean:,.1f}",
        f"  classes of a client  {summary.fewest_classes} to {summary.most_classes}, mean {summary.mean_classes:.1f}",
    ]


def _title(config: "Config", found: "Dataset") -> str:
    kind = config.partition
    if kind == "natural":
        kind = "writer" if found.owners else "dirichlet"
    return {
        "writer": "by writer",
        "dirichlet": f"Dirichlet({config.alpha:g}), seed {config.seed}",
        "shards": f"{config.shards_per_client} shards a client, seed {config.seed}",
        "iid": f"at random, seed {config.seed}",
    }[kind]


def _write(out: Path, config: "Config", found: "Dataset", partition: "Partition") -> None:
    """Write the label histogram as a picture, or as CSV with a row for each client."""
    from fl_sim.partition import label_counts
    from profiler.bundle import write_file

    counts = label_counts(partition, found.train.labels, found.classes)
    if out.suffix.lower() == ".csv":
        head = ",".join(["client", "images", *(f"class_{number}" for number in range(found.classes))])
        rows = (",".join(map(str, [client, sum(row), *row])) for client, row in enumerate(counts.tolist()))
        write_file(out, ("\n".join([head, *rows]) + "\n").encode())
        return
    from reports.training.partition_plot import partition_figure

    svg, png = partition_figure(counts, f"{found.name}, {_title(config, found)}")
    write_file(out, svg if out.suffix.lower() == ".svg" else png)
