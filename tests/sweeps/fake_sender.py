"""In place of the child that sends: an archive that takes everything at once."""

from __future__ import annotations

import os

from scanside_appliance.network.messages import AllSent, ObjectSent, SendOrder
from scanside_runtime.process.child_side import Channel
from scanside_runtime.process.start import end_with


def main() -> None:
    channel = Channel()
    end_with(os.getppid())
    for question in channel.questions((SendOrder,)):
        sent = [ObjectSent(name, f"1.2.{number}") for number, name in enumerate(question.names, start=1)]
        for one in sent:
            channel.send(one)
        channel.send(AllSent(tuple(one.sop_uid for one in sent)))


if __name__ == "__main__":
    main()
