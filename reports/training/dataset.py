"""The data set of a configuration, with what is fetched for it told on the terminal."""

import sys
from pathlib import Path

import click

from fl_sim.config import Config
from fl_sim.data.catalog import load
from fl_sim.data.dataset import Dataset
from profiler.names import fold


def dataset_of(config: Config, data_dir: Path | None) -> Dataset:
    """Return the data set that a configuration names; of writers, as many as it has clients.

    Raises the errors of ``fl_sim.data.catalog.load``.
    """
    by_writer = config.partition in ("natural", "writer") and fold(config.dataset) == "femnist"
    writers = (config.clients or None) if by_writer else None
    return load(config.dataset, data_dir, writers=writers, tell=tell if sys.stderr.isatty() else None)


def tell(name: str, come: int, of: int) -> None:
    """Keep one line of a download up to date on the terminal."""
    end = "\n" if come >= of else ""
    click.echo(f"\r{name}: {come / 1e6:,.1f} of {of / 1e6:,.1f} MB{end}", nl=False, err=True)
