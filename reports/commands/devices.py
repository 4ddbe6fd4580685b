"""``fedjoule devices``: what is reachable, what it can say, and what would make a measurement invalid now."""

import click


@click.command()
@click.option("--device", "addresses", multiple=True, metavar="ADDRESS", help="Look at this one only; may be repeated.")
@click.pass_context
def devices(ctx: click.Context, addresses: tuple[str, ...]) -> None:
    """List the devices that can be measured: chips, power source, battery, and what speaks against measuring now.

    \b
    Examples:
      fedjoule devices
      fedjoule devices --device 192.168.1.20:5555
    """
    from profiler.transport.address import parse_address
    from profiler.transport.discover import Found, discover
    from reports.profile.facts import fact_lines
    from reports.profile.listing import listed

    given = [Found(str(parse_address(text)), "device", "") for text in addresses]
    usable = 0
    for found in given or discover():
        entry = listed(found)
        usable += entry.usable
        click.echo(entry.heading)
        for line in fact_lines(entry.facts):
            click.echo(line)
        click.echo()
    if given and not usable:
        ctx.exit(1)
