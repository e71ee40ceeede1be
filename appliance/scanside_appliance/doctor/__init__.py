"""`scanside doctor`: everything that can ail a box, looked at once and said on one screen."""
