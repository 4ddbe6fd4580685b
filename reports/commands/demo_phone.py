"""``fedjoule demo-phone``: an emulated phone on this machine, to try the profiler without one."""

import click


@click.command("demo-phone")
@click.option("--port", type=click.IntRange(0, 65535), default=15555, show_default=True, help="0 takes a free one.")
@click.option(
    "--speed", type=click.FloatRange(1, 50), default=10, show_default=True, help="Phone seconds in one of ours."
)
def demo_phone(port: int, speed: float) -> None:
    """Run an emulated phone on this machine until Ctrl-C: try the profiler on it from another terminal.

    It speaks ADB, runs commands for real, and has a battery of known power. It trains nothing: its times are invented,
    and rows measured on it are marked as emulated and refused as costs.

    \b
    Examples:
      fedjoule demo-phone &
      fedjoule devices --device 127.0.0.1:15555
      fedjoule profile --device 127.0.0.1:15555 --models lenet5 --repetitions 2 -o demo.csv
    """
    import threading

    from profiler.emulator.demo import serve

    def announce(address: str) -> None:
        click.echo(f"An emulated phone listens at {address}; its clock runs {speed:g} times as fast as ours.")
        click.echo(f"Try: fedjoule profile --device {address} --models lenet5 --repetitions 2 -o demo.csv")
        click.echo("Ctrl-C ends it and leaves nothing behind.")

    try:
        serve(port, speed=speed, announce=announce, stop=threading.Event())
    except OSError as error:
        message = f"cannot listen on port {port} ({error.strerror}); give another --port, 0 takes a free one"
        raise click.UsageError(message) from error
