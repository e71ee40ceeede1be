"""How good the networks are, and the tables that say it."""
