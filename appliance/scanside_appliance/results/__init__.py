"""What people see of an analysis, and where earlier results lie."""
