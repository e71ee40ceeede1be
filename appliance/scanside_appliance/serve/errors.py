"""Why nothing is shown."""

from __future__ import annotations

from scanside_runtime.errors import BoxFailed


class BoxServePassword(BoxFailed):
    """Results are shown only behind a password, and it can't be used: {why}."""

    code = "BOX_SERVE_PASSWORD"
    advice = "Set one with scanside serve --set-password; it is asked for and not shown."


class BoxServeOpen(BoxFailed):
    """Other machines would read results at {host}, and without TLS the network would read names and password along."""

    code = "BOX_SERVE_OPEN"
    advice = "Set tls_certificate and tls_key under [serve] (docs/serve.md has the command that makes them). On a network of the clinic's own, where nobody can listen, --insecure-network does without."


class BoxServePort(BoxFailed):
    """At {address} nothing can be shown: {why}."""

    code = "BOX_SERVE_PORT"
    advice = "Check host and port under [serve], and that no other program listens there; a port below 1024 wants a right of its own."


class BoxServeTls(BoxFailed):
    """A file for TLS can't be used: {why}."""

    code = "BOX_SERVE_TLS"
    advice = "Check tls_certificate and tls_key under [serve]: PEM files that the box's user may read."
