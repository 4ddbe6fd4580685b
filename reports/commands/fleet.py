"""``fedjoule fleet``: populations of phones, with their hardware, networks and nights on the charger."""

import click

from reports.commands.lazy import LazyGroup

_COMMANDS = {
    "describe": "reports.commands.fleet_describe",
    "simulate": "reports.commands.fleet_simulate",
    "table4": "reports.commands.fleet_table4",
    "convert": "reports.commands.fleet_convert",
    "fetch": "reports.commands.fleet_fetch",
}


@click.group(cls=LazyGroup, modules=_COMMANDS)
def fleet() -> None:
    """What training costs on a population of phones, with their hardware, networks and nights on the charger.

    \b
    Examples:
      fedjoule fleet describe flash                       who is ready when, on which hardware
      fedjoule fleet simulate --fleet flash --workload cifar10 --method qfedupdate --deadline 90s
      fedjoule fleet table4 --fleet flash                 what heterogeneity adds to each row of Table 4
      fedjoule fleet fetch fedscale                       the public traces, with checksums
    """
