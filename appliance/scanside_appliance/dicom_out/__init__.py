"""The DICOM objects that go to an archive beside the source: structured report, secondary captures, their UIDs."""
