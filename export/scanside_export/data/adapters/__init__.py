"""Labelled CT in the form in which it is published or exported, each form in a module of its own."""
