"""Why a bundle is not installed, or not taken back."""

from __future__ import annotations

from scanside_runtime.errors import BoxFailed, ModelUnusable


class ModelArchive(ModelUnusable):
    """{name} can't be installed as a model bundle: {why}."""

    code = "MODEL_ARCHIVE"
    advice = "Copy the zip to the stick again and compare its checksum with its maker's; what is in force stays."


class ModelOlder(ModelUnusable):
    """The model bundle {title} is not newer than {in_force}, which is in force."""

    code = "MODEL_OLDER"
    advice = "Nothing was changed. `scanside bundle rollback` goes back; --force installs an older one all the same."


class NoEarlierBundle(BoxFailed):
    """The bundle that Scanside brings along is in force: there is none before it."""

    code = "BOX_NO_BUNDLE"
    advice = "Nothing: no bundle was installed on this box, or all were taken back."


class BundleRecordUnusable(BoxFailed):
    """The record of the installed bundles, {path}, can't be used: {why}."""

    code = "BOX_BUNDLE_RECORD"
    advice = (
        "Put the file back from the backup. Without one, move it away: the bundle that Scanside brings along is in "
        "force then, and the other can be installed again from its zip."
    )
