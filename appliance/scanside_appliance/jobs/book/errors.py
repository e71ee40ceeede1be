"""What ails the book, and what only seems to be damage: rights, a lock, a full disk."""

from __future__ import annotations

from scanside_runtime.errors import BoxFailed


class BoxDatabase(BoxFailed):
    """The database {name} is damaged: {why}."""

    code = "BOX_DATABASE"
    advice = "Run scanside rebuild: it makes the book anew from archive and results, and keeps this one beside it."


class BoxDatabaseNewer(BoxFailed):
    """The database {name} was written by a newer Scanside (version {version})."""

    code = "BOX_DATABASE_NEWER"
    advice = "Install that Scanside again, or put the copy of the database back that was made before the upgrade."


class BoxDatabaseMissing(BoxFailed):
    """The database {name} is not there yet."""

    code = "BOX_DATABASE_MISSING"
    advice = "Start scanside watch once: it makes it. If the box was started before, check that --root is its folder."


class BoxDatabaseLost(BoxFailed):
    """The database {name} is {how}, though this box has worked before."""

    code = "BOX_DATABASE_LOST"
    advice = (
        "Put the newest copy of it back, or run scanside rebuild: it makes the book anew from archive and results. An "
        "empty book would measure every study again that is sent again."
    )


class BoxDatabaseReplaced(BoxFailed):
    """The database {name} was replaced by another file while the box was at work; what it had is kept as {kept}."""

    code = "BOX_DATABASE_REPLACED"
    advice = "Start again: it goes on with the file that lies there now. scanside verify says what does not fit it."


class BoxDatabaseWhole(BoxFailed):
    """The database {name} is whole: to make it anew would lose what only it knows."""

    code = "BOX_DATABASE_WHOLE"
    advice = "Leave it as it is. To see what on the disk does not fit it: scanside verify. To make it anew all the same: --anyway."


class BoxDatabaseRights(BoxFailed):
    """The database {name} may not be read or written by this user: {why}."""

    code = "BOX_DATABASE_RIGHTS"
    advice = (
        "It is whole; leave it where it is. Run the command as root or as the box's own user. If the service says it: "
        "scanside doctor, as root, names what belongs to another user."
    )


class BoxDatabaseBusy(BoxFailed):
    """The database {name} is in use by another program: {why}."""

    code = "BOX_DATABASE_BUSY"
    advice = "It is whole; leave it where it is. Wait a little and try again; end whatever else has it open."


class BoxDatabaseDisk(BoxFailed):
    """The disk does not let the database {name} be read or written: {why}."""

    code = "BOX_DATABASE_DISK"
    advice = "Leave it where it is. Check that the disk is mounted, sound and not read-only, then start again."


class BoxDiskFull(BoxFailed):
    """The disk is full: the database {name} can't be written ({why})."""

    code = "BOX_DISK_FULL"
    advice = "Nothing is lost; leave the database where it is. Make room on the disk: then it goes on."
