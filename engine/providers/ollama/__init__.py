"""Ollama's own chat and generate."""
