"""Long proofs: what a box must withstand, tried thousands of times. docs/developing.md says which there are."""

import sys
from pathlib import Path

if (TESTS := str(Path(__file__).parents[1])) not in sys.path:
    sys.path.append(TESTS)  # for `kit`, where a sweep is run as a command
