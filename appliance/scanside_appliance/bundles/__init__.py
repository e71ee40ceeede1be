"""Model bundles that a technician brings: delivered as a signed zip, proved, put in force, taken back."""
