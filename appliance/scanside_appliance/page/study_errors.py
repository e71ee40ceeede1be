"""The errors that are the reason on a refused study's page; those of the box speak to who runs it."""

from __future__ import annotations

from functools import cache
from importlib import import_module

from scanside_appliance.languages.sentences import message_of
from scanside_runtime.errors import ScansideError, registered

WITH_REASONS = ("scanside_runtime.dicom.errors", "scanside_runtime.followup.errors")


@cache
def study_errors() -> dict[str, str]:
    """What ends an analysis because of the study: the text of its message by code."""
    return {error.code: message_of(error) for error in errors_with_reasons()}


def errors_with_reasons() -> list[type[ScansideError]]:
    """The errors of modules that speak of a study."""
    for module in WITH_REASONS:
        import_module(module)
    return [error for error in registered() if error.__module__ in WITH_REASONS]
