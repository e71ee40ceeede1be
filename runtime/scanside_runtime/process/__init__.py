"""A child process that is asked by lines of JSON."""
