"""What is done with a complete study: written down, moved, analysed, published, cleaned away."""
