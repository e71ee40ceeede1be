"""The commands of a box: what it watches, sends, keeps and proves."""
