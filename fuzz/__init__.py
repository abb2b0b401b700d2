"""Coverage-guided fuzzing of what reads bytes and texts of others, in the checked form of the kernels."""
