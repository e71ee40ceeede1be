"""From folders of labelled CT to training samples."""
