"""Faults, injected byte for byte, with healthy streams beside each."""
