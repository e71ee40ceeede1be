"""What single values of a header mean: body parts, kernels, dates and ages, names of persons."""
