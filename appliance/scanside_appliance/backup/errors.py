"""Why a backup is not made, or not put back."""

from __future__ import annotations

from scanside_runtime.errors import BoxFailed


class BackupTarget(BoxFailed):
    """The backup can't be written to {folder}: {why}."""

    code = "BOX_BACKUP_TARGET"
    advice = "Check that the stick is there, can be written and has room; run the same command again, it goes on."


class BackupFileSize(BoxFailed):
    """The backup can't be written to {folder}: its file system takes no file as large as one that the box has."""

    code = "BOX_BACKUP_FILE_SIZE"
    advice = (
        "FAT takes no file of 4 GB or more. Take a stick with exFAT or ext4, or format this one anew, which erases it; "
        "then make the backup again."
    )


class BackupUnusable(BoxFailed):
    """The backup in {folder} can't be used: {why}."""

    code = "BOX_BACKUP"
    advice = (
        "Use another copy, or make the backup again while the box is there. `scanside backup DIR --check` names all."
    )


class BoxNotEmpty(BoxFailed):
    """The box in {root} has a book already: a backup is put into an empty one only."""

    code = "BOX_NOT_EMPTY"
    advice = "Name another folder with --root. Nothing was changed."
