"""Changed settings: made with a way back on the host and on the device, and put back in reverse order."""

import shlex
from collections.abc import Callable, Sequence

from profiler.campaign.change import Change, Made, checked_old, not_restored, restore_script
from profiler.campaign.job import script
from profiler.campaign.journal import Journal
from profiler.campaign.session import Session
from profiler.campaign.workspace import Workspace
from profiler.names import printable
from profiler.transport.detach import start_detached

LEASE_MARGIN_S = 300.0  # the watchdog puts settings back so long after the host should have been heard of


def apply(session: Session, workspace: Workspace, journal: Journal, changes: Sequence[Change], uptime_s: float) -> None:
    """Make the changes one by one. Each is in the journal and in the device's restore script before it is made.

    Raises OSError if a value cannot be read or set, ValueError if it could not be put back as it was; what was changed
    before then stays in the journal for ``put_back``.
    """
    if not changes:
        return
    workspace.say(f"rm -f {shlex.quote(f'{workspace.folder}/restored')}", "cannot remove a file of ours")
    open_changes = not_restored(journal.entries)
    renew(workspace, uptime_s, LEASE_MARGIN_S)
    workspace.put(f"{workspace.folder}/uptime_file", f"{workspace.root}/proc/uptime\n".encode())
    for change in changes:
        if all(each.change.name != change.name for each in open_changes):  # else an interrupted run has made it
            old = checked_old(workspace.say(change.read_command, f"cannot read {change.name}"))
            made = Made(change, old)
            open_changes.append(made)
            journal.append("changing", **made.as_entry())
        workspace.put(f"{workspace.folder}/restore.sh", restore_script(open_changes).encode())
        workspace.say(change.write_command(change.value), f"cannot set {change.words}")
        now = workspace.say(change.read_command, f"cannot read {change.name}").strip()
        if now != change.value:
            message = f"{change.words} did not take: it reads {printable(now, 60)!r}; the device does not allow it"
            raise OSError(message)
    workspace.put(f"{workspace.folder}/watchdog.sh", script("watchdog.sh"))
    session.step(
        lambda link: start_detached(link, f"{workspace.folder}/watchdog.sh", f"{workspace.folder}/watchdog.pid")
    )


def was_put_back(session: Session, workspace: Workspace) -> bool:
    """Return whether the device put the settings back by itself, because nothing was heard of us for too long."""
    return session.run(f"[ -e {shlex.quote(f'{workspace.folder}/restored')} ]").code == 0


def renew(workspace: Workspace, uptime_s: float, seconds: float) -> None:
    """Let the device's watchdog wait until ``seconds`` after the device's time ``uptime_s``."""
    workspace.put(f"{workspace.folder}/lease", f"{int(uptime_s + seconds) + 1}\n".encode())


def put_back(session: Session, journal: Journal, say: Callable[[str], None] = lambda _: None) -> list[str]:
    """Put back every change that the journal holds open, the last one first; return what could not be put back."""
    failed = []
    for made in reversed(not_restored(journal.entries)):
        change = made.change
        session.run(change.write_command(made.old))
        seen = session.run(change.read_command)
        now = seen.text.strip("\r\n")
        if seen.code == 0 and now == made.old:  # also where it was never changed, because the device refused it
            journal.append("restored", name=change.name)
            say(f"put back {change.kind} {change.name} = {printable(made.old, 60)}")
        else:
            failed.append(f"{change.kind} {change.name} reads {printable(now, 60)!r}, was {printable(made.old, 60)!r}")
    return failed
