"""One study from its files to its result: the verb, what it gives back, how it is asked, what made it."""
