"""Results go to an archive: what is to be sent stands in the book, a child of its own speaks DICOM."""
