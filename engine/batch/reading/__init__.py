"""Rows in: sources, the schema they are checked by, and the request each one is."""
