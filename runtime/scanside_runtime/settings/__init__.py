"""Everything that can be set: tables with bounds and defaults, and the file that changes them."""
