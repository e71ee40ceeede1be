"""Programs in place of our children, as text for `python -c`."""

from __future__ import annotations

from scanside_runtime.process.messages import encode, own_hello

HELLO = encode(own_hello()).decode().strip()
BEGINS = f"print({HELLO!r}, flush=True)\n"
"""The first word of a child, without which it counts as never started."""
