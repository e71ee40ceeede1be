"""A patient's earlier scans, and what changed since."""
