"""`scanside receive`: studies come by the network into the inbox."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from scanside_appliance.cli.language import spoken
from scanside_appliance.cli.options import as_its_owner


def receive(context: typer.Context) -> None:
    """Take studies from scanners over the network (DICOM).

    Scanners that the settings name may send (C-STORE); what comes is put into the inbox. No model is loaded,
    nothing is parsed: `scanside watch` does what follows. Ends on SIGTERM or Ctrl-C.

    Exit code: 0 ended, 5 nobody is set to receive from, the port is taken, or the inbox can't be
    written or does not answer.
    """
    with _waited_for(signal.SIGTERM, signal.SIGINT) as ends:
        _receive(context, ends)


def _receive(context: typer.Context, ends: set[signal.Signals]) -> None:
    from scanside_appliance.files.answering import ANSWER_S, answers
    from scanside_appliance.files.atomic import writing
    from scanside_appliance.files.layout import BoxLayout
    from scanside_appliance.network.received import Receiver
    from scanside_appliance.network.scp import listening
    from scanside_appliance.service.errors import BoxInbox, BoxInboxSilent
    from scanside_appliance.service.service import log_to_stderr
    from scanside_appliance.service.systemd import notify

    settings, layout = context.obj.settings(), BoxLayout(context.obj.root)
    log_to_stderr()
    layout.check()
    receiver = Receiver(layout.inbox, settings.disk)

    def begin() -> None:
        as_its_owner(context)  # root, if anything, was for the port and the key
        if not answers(layout.inbox):
            raise BoxInboxSilent(folder=layout.inbox, seconds=ANSWER_S)
        with writing(layout.inbox):
            try:
                receiver.begin()
            except FileNotFoundError as error:
                raise BoxInbox(folder=layout.inbox) from error

    with listening(settings.receive, receiver, begin) as port:
        notify(READY=1, STATUS=f"{settings.receive.ae_title} listens on port {port}")
        at = f"{settings.receive.host}:{port}"
        typer.echo(spoken()("{title} listens at {address}", title=settings.receive.ae_title, address=at), err=True)
        signal.sigwait(ends)
        notify(STOPPING=1)


@contextmanager
def _waited_for(*ends: signal.Signals) -> Iterator[set[signal.Signals]]:
    """Blocked before any thread begins, NumPy's own as well, for all of them inherit that; as before at the end."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ends)
    try:
        yield set(ends)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
