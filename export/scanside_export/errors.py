"""Why labels can't be read or a training can't go on."""

from __future__ import annotations

from pathlib import Path

from scanside_runtime.errors import Refused


class Stopped(Exception):
    """A training was asked to stop before its last step: the step is whole, and the checkpoint written."""

    def __init__(self, checkpoint: Path) -> None:
        super().__init__(checkpoint)
        self.checkpoint = checkpoint


class LabelsUnusable(Refused):
    """The labels or pictures in {folder} can't be used: {why}."""

    code = "INPUT_LABELS"
    advice = "Bring folder and file names into the form that the command's help and docs/training.md describe."


class CasesUnusable(Refused):
    """The training cases can't be used: {why}."""

    code = "INPUT_CASES"
    advice = "Name a folder that scanside-export prepare or pack wrote, or prepare the cases again, into a new folder."


class RecipeUnusable(Refused):
    """The recipe {path} can't be used: {why}."""

    code = "INPUT_RECIPE"
    advice = "Correct it: those in export/scanside_export/recipes have every key, and data/recipe.py beside them says what it means."


class TrainingUnusable(Refused):
    """The training in {folder} can't be used here: {why}."""

    code = "INPUT_TRAINING"
    advice = "Name another folder or checkpoint, or train again with the options that fit."


class KeyUnusable(Refused):
    """The key {path} can't be used: {why}."""

    code = "INPUT_KEY"
    advice = "Name a private Ed25519 key in PEM, as `scanside-export keygen` makes it, outside of any repository."
