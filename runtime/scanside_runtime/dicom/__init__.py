"""Files of a study: found, read in a process of their own, one series chosen, its grid checked, pixels to HU."""
