"""A drawn thorax of known truth, and the writer that makes a DICOM series of it."""
