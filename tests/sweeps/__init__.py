"""Long proofs that the watched folder loses nothing: each module is a command, its short form is in the tests."""
