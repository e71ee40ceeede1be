"""The list of results for people: who is sick, what waits, what came last."""
