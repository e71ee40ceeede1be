"""Reasons not to believe what was measured, a guard for each."""
