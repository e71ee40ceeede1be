"""The book held against the disk: made anew, checked, a study measured again."""
