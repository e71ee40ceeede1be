"""A study for a colleague elsewhere: what he needs to judge it, and nothing that says whose it is."""
