"""One response becomes events and a message: reading, accumulating, attempts, delivery."""
