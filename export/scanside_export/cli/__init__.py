"""The exporter's command line."""
