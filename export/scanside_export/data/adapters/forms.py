"""Every form of labelled data that `prepare` and `evaluate volumes` take, by the name that the command line uses."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from scanside_export.data.adapters.covid19_ct_seg import covid19_ct_seg
from scanside_export.data.adapters.infection_8mm import infection_8mm, infection_8mm_left_out
from scanside_export.data.adapters.luna16 import luna16
from scanside_export.data.adapters.medseg import medseg_slices, medseg_volumes
from scanside_export.data.adapters.mosmed import mosmed
from scanside_export.data.adapters.pairs import pairs
from scanside_export.data.cases import Case, infection_volumes

Adapter = Callable[[Path], Iterator[Case]]

FORMS: Mapping[str, Adapter] = {
    "pairs": pairs,
    "mosmed": mosmed,
    "covid-19-ct-seg": covid19_ct_seg,
    "medseg-slices": medseg_slices,
    "medseg-volumes": medseg_volumes,
    "luna16": luna16,
    "infection-3d": infection_volumes,
    "infection-8mm": infection_8mm,
    "infection-8mm-left-out": infection_8mm_left_out,
}


def parse_source(text: str) -> tuple[str, Path]:
    """`FORM=DIR` as form and folder. Raises ValueError, with the forms that there are."""
    form, equals, folder = text.partition("=")
    if not equals or form not in FORMS:
        raise ValueError(f"{text!r}: write FORM=DIR with one of {', '.join(FORMS)}")
    return form, Path(folder)


def read_form(form: str, folder: Path) -> Iterator[Case]:
    """The cases of one folder, one after the other. Raises LabelsUnusable where the folder is not of that form."""
    return FORMS[form](folder)
