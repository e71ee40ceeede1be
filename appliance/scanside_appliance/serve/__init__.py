"""Results shown to browsers on the local network: read-only, behind a password, off unless somebody starts it."""
