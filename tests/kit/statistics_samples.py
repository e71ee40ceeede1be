"""Tables of exams by construction."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd


def exams(severe: int = 40, mild: int = 160, seed: int = 0, exams_a_patient: int = 2) -> pd.DataFrame:
    """Exams whose POI and iHU rise with severity and overlap, `exams_a_patient` of each patient."""
    rng = np.random.default_rng(seed)
    label = np.arange(severe + mild) < severe
    poi = np.where(label, rng.gamma(3.0, 6.0, label.size), rng.gamma(3.0, 2.0, label.size)).clip(0.01, 99.0)
    return pd.DataFrame(
        {
            "patient_id": [f"{1 + number // exams_a_patient:04d}" for number in range(label.size)],
            "poi_percent": poi,
            "ihu_hu": rng.normal(np.where(label, -540.0, -620.0), 70.0),
            "severe": label.astype(int),
            "sex": rng.choice(["F", "M"], label.size),
        }
    )


def write_exams(path: Path, **changes) -> Path:
    """The exams as CSV."""
    exams(**changes).to_csv(path, index=False)
    return path
