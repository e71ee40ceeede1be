"""The child that writes the list. `python -m scanside_appliance.worklist.writer_process`.

A `ListOrder` is answered by `ListWritten`, or by `Failed`, an error of ours. Where the book is to blame for that, the
list that lies there says so.
"""

from __future__ import annotations

import gc
import os
import sqlite3
from contextlib import suppress

from scanside_appliance.clock import Clock
from scanside_appliance.files.layout import BoxLayout
from scanside_appliance.jobs.book.database_errors import database_errors
from scanside_appliance.jobs.book.file import existing_book
from scanside_appliance.worklist.messages import NOT_THE_BOOK, ListOrder, ListWritten
from scanside_appliance.worklist.write import write_trouble, write_worklist
from scanside_runtime.errors import BoxOutput, ScansideError
from scanside_runtime.process.child_side import Channel
from scanside_runtime.process.messages import Failed


def main() -> None:
    """Answer until the daemon closes the pipe."""
    gc.disable()  # a list of 20 000 is made of what is not thrown away; the process ends with it
    channel = Channel.open()
    os.umask(0o027)
    for order in channel.questions((ListOrder,)):
        channel.send(_answered(order))


def _answered(order: ListOrder) -> ListWritten | Failed:
    layout = BoxLayout(order.root)
    try:
        with database_errors(layout.database), existing_book(layout) as store:
            names = write_worklist(layout, store, order.site, Clock(), arriving=order.arriving, trouble=order.trouble)
    except ScansideError as error:
        if error.code not in NOT_THE_BOOK:
            with suppress(OSError):  # what ails the book is what is told
                write_trouble(layout, order.site, order.trouble or error.in_full)
        return Failed.of(error)
    except (OSError, sqlite3.Error) as error:
        return Failed.of(BoxOutput(folder=layout.worklist, why=getattr(error, "strerror", None) or error))
    return ListWritten(tuple(names))


if __name__ == "__main__":
    main()
