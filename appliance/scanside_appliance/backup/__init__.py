"""All that a box knows, on a stick: copied while it works, checked where it lies, and put into another box."""
