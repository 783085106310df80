"""Training: one pure step, and the loop that runs it."""
