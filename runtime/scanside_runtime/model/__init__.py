"""The model bundle, its engine, and both networks over a volume."""
