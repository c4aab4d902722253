"""What the operator sees: the log and the metrics. Neither ever holds a password, a value, a verifier or a key (R7)."""
