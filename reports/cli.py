"""The command ``fedjoule``: mounts every sub-command, and turns errors into one line and an exit code."""

import errno
import io
import os
import sys
from collections.abc import Sequence

import click

from reports.commands.lazy import LazyGroup
from reports.interrupt import keep_until_imported

# Name -> module with a click command of that name. Modules import nothing heavy at the top.
_COMMANDS = {
    "tables": "reports.commands.tables",
    "cost": "reports.commands.cost",
    "pipeline": "reports.commands.pipeline",
    "train": "reports.commands.train",
    "rounds": "reports.commands.rounds",
    "figures": "reports.commands.figures",
    "fleet": "reports.commands.fleet",
    "data": "reports.commands.data",
    "devices": "reports.commands.devices",
    "profile": "reports.commands.profile",
    "demo-phone": "reports.commands.demo_phone",
    "completion": "reports.commands.completion",
}


@click.group(
    cls=LazyGroup,
    modules=_COMMANDS,
    epilog="Exit codes: 0 done, 1 interrupted or a check failed, 2 bad input. FEDJOULE_TRACEBACK=1 shows where an "
    "error came from.",
)
@click.version_option(package_name="fedjoule")
def cli() -> None:
    """What does federated learning cost on these phones, in hours and joules, and what would change it?

    \b
    Examples:
      fedjoule tables                               the paper's Tables 1-4 and claims, computed again
      fedjoule tables --measurements my_phone.csv   your phone as further rows
      fedjoule cost --device xiaomi10 --dataset cifar10 --processor dsp
      fedjoule pipeline --scenario xiaomi10_cifar10 what overlapping the stages gains
      fedjoule train --method qfedupdate --out runs/x   federated training, in integers
      fedjoule cost runs/x                          what that run costs on every measured phone
      fedjoule rounds runs/x runs/y                 rounds to converge, and figures draws them
      fedjoule fleet simulate --fleet flash         what it costs on phones that come and go
      fedjoule devices                              what can be measured from here
      fedjoule profile --device ADDRESS -o phone.csv
    """


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and leave with 0, 1 (interrupted, or a check failed) or 2 (bad input)."""
    keep_until_imported()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a name that this terminal cannot show is no reason to fail
    try:
        code = cli.main(args=arguments, prog_name="fedjoule", standalone_mode=False)
        if sys.stdout is not None:
            sys.stdout.flush()
    except SystemExit as end:
        # Where the reader has gone, as in `fedjoule tables | head`, click quiets the output and would leave with 1.
        code = 0 if type(sys.stdout).__name__ == "PacifyFlushWrapper" else end.code
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        code = 2
    except click.UsageError as error:
        path = error.ctx.command_path if error.ctx else "fedjoule"
        code = _fail(f"{error.format_message()} (see '{path} --help')", error)
    except click.ClickException as error:
        code = _fail(error.format_message(), error)
    except (click.Abort, KeyboardInterrupt):
        click.echo("fedjoule: interrupted; no file was left half-written", err=True)
        code = 1
    except BrokenPipeError:
        # The reader has gone, as in `fedjoule tables | head`. Python must not try to flush to it again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except (ValueError, OSError, ArithmeticError) as error:
        code = _fail(_message(error), error)
    except MemoryError as error:
        code = _fail("this needs more memory than there is; ask for fewer batches, replications or clients", error)
    sys.exit(code or 0)


def _message(error: ValueError | OSError | ArithmeticError) -> str:
    if isinstance(error, OSError) and error.strerror:
        from profiler.names import printable

        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        remedy = "make room and run it again (fedjoule train: with --resume)" if full else "choose another place"
        if error.errno == errno.ENOENT:
            remedy = f"check the name, or {remedy}"
        return f"{printable(error.filename or 'output', 200)}: {error.strerror}; {remedy}"
    return str(error)


def _fail(message: str, error: Exception) -> int:
    """Say what is wrong, one line for each problem, and return the exit code of bad input."""
    from profiler.names import printable

    if os.environ.get("FEDJOULE_TRACEBACK"):
        raise error
    lines = message.splitlines() or [type(error).__name__]
    for line in lines[:50]:
        click.echo(f"fedjoule: {printable(line, 1000)}", err=True)
    if len(lines) > 50:
        click.echo(f"fedjoule: and {len(lines) - 50} more problems; mend these first", err=True)
    return 2
