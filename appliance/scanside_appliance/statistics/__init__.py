"""Numbers over many studies: AUC, cut-offs, logistic regression, agreement, masks. Needs the extra `cohort`."""
