"""Scanside."""
