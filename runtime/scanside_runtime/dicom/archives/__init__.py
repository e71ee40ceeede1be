"""Files that hold files: zip, tar and gzip, read without unpacking anything under a name of theirs."""
