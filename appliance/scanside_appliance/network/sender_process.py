"""The child that sends. `python -m scanside_appliance.network.sender_process`.

A `SendOrder` is answered by `ObjectSent` as it goes on, then by `AllSent`, or by `Failed`, an error of ours.
"""

from __future__ import annotations

from scanside_appliance.network.errors import BoxSendUnreachable
from scanside_appliance.network.messages import AllSent, SendOrder
from scanside_runtime.errors import ScansideError
from scanside_runtime.process.child_side import Channel
from scanside_runtime.process.messages import Failed


def main() -> None:
    """Answer until the daemon closes the pipe."""
    channel = Channel.open()
    for order in channel.questions((SendOrder,)):
        channel.send(_answered(order, channel))


def _answered(order: SendOrder, channel: Channel) -> AllSent | Failed:
    try:
        from scanside_appliance.network.scu import send  # an extra, which may be missing

        return AllSent(tuple(sorted(send(order.folder, order.names, order.settings, channel.send))))
    except ScansideError as error:
        return Failed.of(error)
    except OSError as error:
        return Failed.of(BoxSendUnreachable(target=order.settings.host, why=error.strerror or error))


if __name__ == "__main__":
    main()
