"""The book of a box: its SQLite file, what stands in it, and how it is read and written."""
