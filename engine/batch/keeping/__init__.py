"""What is safe: the journal, the records in it, the order they end in, the lock."""
