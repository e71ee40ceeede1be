"""The page for people: words, drawings and layout of one result."""
