"""What somebody who has taken over a decoder would try from inside the reader: each raises where it is stopped.

As a module it is the reader's own process in which the header parser was taken over: it tries all of them and answers
what came of each as files that were passed over. Where things lie it reads in the study, which it may.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import json
import mmap
import os
import resource
import shutil
import signal
import socket
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from scanside_runtime.dicom.index import Found, PassedOver
from scanside_runtime.process.system_calls import call

PLACES = "places.json"
DONE = "done"
_PTRACE_SEIZE, _PROCESS_VM_READV, _IO_URING_SETUP, _PTRACE, _CLONE, _VFORK = 0x4206, 310, 425, 101, 56, 58


@dataclass(frozen=True)
class Places:
    """archive: a folder with a study. book: a file. port: somebody listens. socket: somebody listens here, too."""

    study: str
    archive: str
    book: str
    port: int
    socket: str
    parent: int


def make_places(place: Places) -> None:
    """What lies in them, anew."""
    shutil.rmtree(place.archive + ".gone", ignore_errors=True)
    for folder in (place.study, place.archive):
        shutil.rmtree(folder, ignore_errors=True)
        Path(folder).mkdir()
    Path(place.study, PLACES).write_text(json.dumps(asdict(place)))
    Path(place.archive, "slice.dcm").write_bytes(b"pixels")
    Path(place.book).write_bytes(b"jobs")


def _start_a_process() -> None:
    if os.fork() == 0:
        os._exit(0)


def _leave_a_process_behind(place: Places) -> None:
    silent = [(os.POSIX_SPAWN_CLOSE, number) for number in (1, 2)]
    os.posix_spawn("/bin/sleep", ["/bin/sleep", "5"], {}, file_actions=silent)


def _peek_at_the_parent(place: Places) -> None:
    byte = ctypes.create_string_buffer(1)
    here, there = (ctypes.c_size_t * 2)(ctypes.addressof(byte), 1), (ctypes.c_size_t * 2)(1, 1)
    try:
        call(_PROCESS_VM_READV, place.parent, ctypes.byref(here), 1, ctypes.byref(there), 1, 0)
    except OSError as error:
        if error.errno != errno.EFAULT:  # nothing lies there; who may not look is told so first
            raise


def _connect(family: int, address: object) -> None:
    with socket.socket(family) as one:
        one.connect(address)  # type: ignore[arg-type]


def _raise_limit(what: int) -> None:
    hard = resource.getrlimit(what)[1]
    resource.setrlimit(what, (hard, hard))


def _have_a_signal_sent(place: Places) -> None:
    reading, _ = os.pipe()
    fcntl.fcntl(reading, fcntl.F_SETOWN, place.parent)


ESCAPES: dict[str, Callable[[Places], object]] = {
    "read the box's users": lambda place: Path("/etc/passwd").read_bytes(),
    "list the archive": lambda place: os.listdir(place.archive),
    "read another study": lambda place: Path(place.archive, "slice.dcm").read_bytes(),
    "delete from the archive": lambda place: os.unlink(Path(place.archive, "slice.dcm")),
    "rename the archive": lambda place: os.rename(place.archive, place.archive + ".gone"),
    "write into the book": lambda place: open(place.book, "r+b").close(),
    "make a file in the study": lambda place: Path(place.study, "made").touch(),
    "make a file elsewhere": lambda place: Path(place.archive, "made").touch(),
    "make a file without a name": lambda place: os.close(os.open(place.archive, os.O_TMPFILE | os.O_RDWR)),
    "make the book everybody's": lambda place: os.chmod(place.book, 0o777),
    "set the book's time": lambda place: os.utime(place.book),
    "link the book into the study": lambda place: os.link(place.book, Path(place.study, "linked")),
    "connect to a port of the box": lambda place: _connect(socket.AF_INET, ("127.0.0.1", place.port)),
    "open a UDP socket": lambda place: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).close(),
    "connect to a socket of the box": lambda place: _connect(socket.AF_UNIX, place.socket),
    "start a process": lambda place: _start_a_process(),
    "start one as vfork does": lambda place: call(_CLONE, signal.SIGCHLD, 0, 0, 0, 0) or os._exit(0),
    "leave a process behind": _leave_a_process_behind,
    "become another program": lambda place: os.execv("/bin/true", ["/bin/true"]),
    "trace the parent": lambda place: call(_PTRACE, _PTRACE_SEIZE, place.parent, 0, 0),
    "read the parent's memory": _peek_at_the_parent,
    "open the parent's memory": lambda place: os.close(os.open(f"/proc/{place.parent}/mem", os.O_RDWR)),
    "signal the parent": lambda place: os.kill(place.parent, 0),
    "have the parent signalled": _have_a_signal_sent,
    "raise its memory": lambda place: _raise_limit(resource.RLIMIT_AS),
    "raise its time": lambda place: _raise_limit(resource.RLIMIT_CPU),
    "raise its files": lambda place: _raise_limit(resource.RLIMIT_NOFILE),
    "pass for one that the box has killed": lambda place: os.kill(os.getpid(), signal.SIGKILL),
    "run code that it wrote": lambda place: mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_EXEC),
    "queue calls past the filter": lambda place: call(_IO_URING_SETUP, 1, ctypes.create_string_buffer(120)),
}


def tried(name: str, place: Places) -> str:
    """`DONE`, or why not."""
    try:
        ESCAPES[name](place)
    except (OSError, ValueError) as error:  # Python's own for a limit that may not be raised
        return str(error)
    return DONE


def escape(path: Path, *_: object) -> Found:
    """In place of `find_series`."""
    place = Places(**json.loads((path / PLACES).read_text()))
    return Found((), tuple(PassedOver(name, tried(name, place)) for name in ESCAPES), 0)


if __name__ == "__main__":
    from scanside_runtime.dicom import reader_process

    reader_process.find_series = escape
    reader_process.main()
