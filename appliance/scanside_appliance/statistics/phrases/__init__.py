"""Phrase lists: one TOML file a language, read by `report_phrases`."""
