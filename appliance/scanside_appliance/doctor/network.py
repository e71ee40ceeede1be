"""The network: does the archive answer to which results are sent, and who could read along what is shown?"""

from __future__ import annotations

import threading
from dataclasses import replace

from scanside_appliance.doctor.conditions import Condition, Examined, bad, caution, good, of_error
from scanside_appliance.languages.words import Message, said
from scanside_appliance.serve.errors import BoxServeOpen
from scanside_runtime.errors import ScansideError
from scanside_runtime.settings.send import SendSettings

ANSWER_S = 4.0
"""For each step of the association; the whole may take twice as long, whatever a name server does."""


def archive(box: Examined) -> Condition:
    """A C-ECHO. What is sent waits while there is no answer, and nothing of it is lost."""
    send = box.settings.send
    answers: list[ScansideError | None] = []
    asking = threading.Thread(target=lambda: answers.append(_asked(send)), daemon=True)
    asking.start()
    asking.join(2 * ANSWER_S)
    where = f"{send.called_ae}@{send.host}:{send.port}"
    if not answers:
        advice = said("Look at the cable and the name server; results wait and are sent when it answers.")
        silent = said("{where}: no answer in {seconds:.0f} s", where=where, seconds=2 * ANSWER_S)
        return bad("archive", silent, advice)
    if isinstance(error := answers[0], ScansideError):
        return of_error("archive", error)
    if not send.automatic:
        found = said("{where} answers; nothing is sent by itself", where=where)
        return caution("archive", found, said("Set send.automatic, or send by hand."))
    return good("archive", said("{where} answers", where=where))


def shown(box: Examined) -> Condition:
    """What `scanside serve` would show to other machines, and whether it is encrypted on the way."""
    serve = box.settings.serve
    where = f"{serve.host}:{serve.port}"
    if serve.tls_certificate:
        return good("serve", said("{where}, with TLS", where=where))
    if not serve.insecure_network:
        error = BoxServeOpen(host=serve.host)
        return caution("serve", said("{code}: {error}", code=error.code, error=error), Message(error.advice))
    found = said("{where}, without TLS: whoever can listen on the network reads names and the password", where=where)
    return caution("serve", found, said("Set tls_certificate and tls_key under [serve] (docs/serve.md)."))


def _asked(send: SendSettings) -> ScansideError | None:
    try:
        from scanside_appliance.network.scu import echo

        echo(replace(send, timeout_s=min(send.timeout_s, ANSWER_S)))
    except ScansideError as error:
        return error
    return None
