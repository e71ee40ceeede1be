"""The watched folder: which study in it is complete."""
