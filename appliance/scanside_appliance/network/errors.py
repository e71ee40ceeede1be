"""Why a result does not reach the archive."""

from __future__ import annotations

from scanside_runtime.errors import BoxFailed


class BoxSendUnset(BoxFailed):
    """No archive is set to send to."""

    code = "BOX_SEND_UNSET"
    advice = "Set host, port and called_ae under [send] in the settings; docs/dicom.md has an example."


class BoxSendUnreachable(BoxFailed):
    """The archive {target} can't be reached: {why}."""

    code = "BOX_SEND_UNREACHABLE"
    advice = "Check host, port and AE titles under [send], the cable, and that the archive knows this box; scanside send --echo tries it. A box tries again by itself."


class BoxSendRefused(BoxFailed):
    """The archive {target} does not take {name}: {why}."""

    code = "BOX_SEND_REFUSED"
    advice = "Ask who runs the archive whether it takes Segmentations, Structured Reports and Secondary Captures from this box; leave what it does not take out of send.objects."


class BoxSendTls(BoxFailed):
    """A file for TLS can't be used: {why}."""

    code = "BOX_SEND_TLS"
    advice = "Check tls_ca, tls_certificate and tls_key under [send]: PEM files that the box's user may read."


class BoxNothingToSend(BoxFailed):
    """In {folder} there is no DICOM object to send."""

    code = "BOX_SEND_NOTHING"
    advice = (
        "A refused study has none, nor has one that was analysed with --no-dicom; see artefacts in its result.json."
    )


class BoxReceiveUnset(BoxFailed):
    """No scanner is named from which studies are received."""

    code = "BOX_RECEIVE_UNSET"
    advice = "Set callers under [receive] in the settings, each as AE_TITLE@ADDRESS; docs/receive.md has an example."


class BoxReceivePort(BoxFailed):
    """At {address} nothing can be received: {why}."""

    code = "BOX_RECEIVE_PORT"
    advice = "Check host and port under [receive], and that no other program listens there; a port below 1024 wants a right of its own."


class BoxReceiveTls(BoxFailed):
    """A file for TLS can't be used: {why}."""

    code = "BOX_RECEIVE_TLS"
    advice = "Check tls_certificate, tls_key and tls_ca under [receive]: PEM files that the box's user may read."
