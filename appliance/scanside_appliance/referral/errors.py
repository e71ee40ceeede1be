"""Why there is no referral pack."""

from __future__ import annotations

from scanside_runtime.errors import BoxFailed, Refused


class PackUnmeasured(Refused):
    """The study in {folder} can't be packed: {why}."""

    code = "PATIENT_NOT_MEASURED"
    advice = "See its page for what to do about it, then analyse the study again (without --no-dicom) and pack the new result."


class PackBurnedIn(Refused):
    """Text is burned into the pictures ({keyword} {value}): it may name the patient."""

    code = "PATIENT_BURNED_IN"
    advice = "Nothing is packed of such a series. Export it again without burned-in text, then analyse and pack that."


class PackSourceChanged(Refused):
    """The slices that lie in {folder} are not those that this result was made from."""

    code = "PATIENT_OTHER_SLICES"
    advice = "Analyse the study again and pack the new result; or name the folder that it was made from with --source."


class BoxPackNoSource(BoxFailed):
    """The slices of this study are not here: {folder}."""

    code = "BOX_PACK_NO_SOURCE"
    advice = "They were cleaned from the archive, or the result was made elsewhere: name the folder of the slices with --source."


class BoxPackKey(BoxFailed):
    """The key that pseudonyms are made with can't be used: {why}."""

    code = "BOX_PACK_KEY"
    advice = "Check the rights of private/pseudonym.key in the box's folder: it has 32 bytes that its owner alone may read. Put it back from a backup; another key makes other pseudonyms."


class BoxPackTooLarge(BoxFailed):
    """The pack would have {mb:.1f} MB without a single slice, more than the {limit:.1f} MB that were asked for."""

    code = "BOX_PACK_TOO_LARGE"
    advice = "Allow more with --limit-mb."
