"""Options that the sub-commands of ``fedjoule fleet`` share: what is read of traces, and how phones are drawn."""

from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from reports.commands.options import warn

if TYPE_CHECKING:
    from traces.open import OpenedFleet

_READING = ("phones", "rule", "zone", "unknown", "network", "long_slots")


def fleet_options(function: Any) -> Any:
    """Add --phones, --seed, --rule, --zone, --unknown, --long-slots and --network to a command."""
    for option in (
        click.option(
            "--network",
            metavar="RATE|FILE",
            help="Of all phones, such as 10Mbit/s, or a file of FLASH's speeds or FedScale's.  [default: the fleet's]",
        ),
        click.option(
            "--long-slots",
            type=click.Choice(["ready", "absent"]),
            default="ready",
            show_default=True,
            help="What FedScale's slots of more than a day are taken for.",
        ),
        click.option(
            "--unknown",
            type=click.Choice(["absent", "present"]),
            default="absent",
            show_default=True,
            help="What half hours of FLASH that nobody recorded are taken for.",
        ),
        click.option(
            "--zone", default="floating", show_default=True, help="Of FLASH's raw times: floating, UTC, Europe/Berlin."
        ),
        click.option(
            "--rule",
            type=click.Choice(["locked", "screen_off"]),
            default="locked",
            show_default=True,
            help="What idle means in FLASH's raw traces.",
        ),
        click.option(
            "--seed", type=click.IntRange(0, 2**32), default=0, show_default=True, help="Of all that is drawn."
        ),
        click.option(
            "--phones",
            type=click.IntRange(1, 10**7),
            help="Draw so many phones.  [default: as many as the traces have; 10,000 of a synthetic fleet]",
        ),
    ):
        function = option(function)
    return function


def told(options: dict[str, Any]) -> dict[str, Any]:
    """Return the options that a manifest names: all that have a value, but of one reader's only those that were given.

    Most fleets have no use for these, and a fleet's source says by which rule it was read.
    """
    from traces.open import OF_ONE_KIND

    unsaid = {*OF_ONE_KIND} - given()
    return {name: value for name, value in options.items() if value is not None and name not in unsaid}


def opened(text: str, options: dict[str, Any]) -> "OpenedFleet":
    """Return the fleet that ``text`` names, read with the options that ``fleet_options`` adds.

    Warns of an option that was given and that this kind of fleet has no use for.
    """
    from traces.open import OF_ONE_KIND, FleetOptions, open_fleet

    found = open_fleet(text, options=FleetOptions(seed=options["seed"], **{name: options[name] for name in _READING}))
    idle = {name: kind for name, kind in OF_ONE_KIND.items() if name in given() and name not in found.heeded}
    warn([f"--{name.replace('_', '-')} has no effect on this fleet: it is for {kind}" for name, kind in idle.items()])
    return found


def given() -> set[str]:
    """Return the names of the parameters that stand on the command line."""
    ctx = click.get_current_context()
    return {name for name in ctx.params if ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE}
