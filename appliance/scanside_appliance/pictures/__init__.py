"""Pictures of what was measured, each readable by itself."""
