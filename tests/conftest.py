"""What all tests share: reproducible properties, and the way to the real data."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings

# The same examples on each run and no deadline: a busy machine must not turn a property red.
settings.register_profile("house", deadline=None, derandomize=True, max_examples=60)
settings.load_profile("house")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real CT data beside the checkout; skips where it is not laid out."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"real data is not here: {folder}")
    return folder
