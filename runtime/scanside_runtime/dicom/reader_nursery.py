"""The process that has imported what a reader imports, and forks one for each study: `reader_child.warm_readers`.

`python -m scanside_runtime.process.start scanside_runtime.dicom.reader_nursery SOCKET BIRTH`.
"""

from __future__ import annotations

import gc
import sys

from scanside_runtime.dicom.reader_process import import_the_rest, serve
from scanside_runtime.process.fork_side import fork_for


def main() -> None:
    """Until whoever orders is gone; a fork returns from here as a reader does at its end."""
    import_the_rest()
    gc.freeze()  # a look for garbage would write to, and so copy, every page that is shared with the forks
    fork_for(int(sys.argv[1]), serve)


if __name__ == "__main__":
    main()
