"""What masks come to: biomarkers, and the severity flag."""
