"""What a page is made of beside the study; apart from `output`, whose libraries take half a second to import."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from scanside_appliance.results.archive import FolderOfStudy
from scanside_runtime.settings.tables import SiteSettings

if TYPE_CHECKING:
    from scanside_appliance.page.report import ComparisonRow


@dataclass(frozen=True, slots=True)
class PageOptions:
    """What the page is made of beside the study. comparison: the demo's known truth.

    folder_of_study: where an earlier result lies, for its pictures; None: they are left out.
    """

    site: SiteSettings = field(default_factory=SiteSettings)
    folder_of_study: FolderOfStudy | None = None
    comparison: Sequence[ComparisonRow] = ()


PLAIN = PageOptions()
