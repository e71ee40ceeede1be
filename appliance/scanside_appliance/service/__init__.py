"""The daemon and what it tells about itself."""
