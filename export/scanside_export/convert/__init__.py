"""Trained networks to the files that a box runs, and the proof that these answer alike."""
