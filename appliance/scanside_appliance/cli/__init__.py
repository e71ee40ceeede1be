"""The command line: a module a command group; each command parses, calls, prints."""
