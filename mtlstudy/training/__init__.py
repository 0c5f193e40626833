"""Training: from a configuration to a finished run in the store."""
