"""Why the daemon can't run."""

from __future__ import annotations

from scanside_runtime.errors import BoxFailed


class BoxRunning(BoxFailed):
    """A scanside watch works in {root}."""

    code = "BOX_RUNNING"
    advice = "One is enough: end the other one first, or give this one another --root."


class BoxStuck(BoxFailed):
    """What lies in the inbox could not be processed: {why}."""

    code = "BOX_STUCK"
    advice = "Nothing is lost. Put right what it says (disk space, permissions) and start again."


class BoxRootReplaced(BoxFailed):
    """The folder {root} is gone, or is no longer the one that this scanside watch works in."""

    code = "BOX_ROOT_REPLACED"
    advice = "Was a disk mounted or taken away, or the folder renamed? Put it right and start again."


class BoxDiskNearlyFull(BoxFailed):
    """The disk is {used:.0f} % full: nothing more is taken in."""

    code = "BOX_DISK_NEARLY_FULL"
    advice = "Copy old results and archives to another disk and remove them here; docs/watch.md says what may go."


class BoxInboxSilent(BoxFailed):
    """The inbox {folder} has not answered for {seconds:.0f} s: nothing more is taken in; what is taken is measured."""

    code = "BOX_INBOX_SILENT"
    advice = "Is it a share? Bring its server or the network back: it goes on by itself, and nothing is lost."


class BoxInbox(BoxFailed):
    """The inbox {folder} is not there: nothing can be sent."""

    code = "BOX_INBOX"
    advice = "Mount it, or make it again with the rights that senders need (systemd-tmpfiles --create); it goes on by itself."
