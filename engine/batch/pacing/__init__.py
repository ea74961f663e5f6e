"""How fast and how dear: concurrency, rates, and what the answers may cost."""
