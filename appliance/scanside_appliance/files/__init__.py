"""Files that survive a power cut, and where the box keeps them."""
