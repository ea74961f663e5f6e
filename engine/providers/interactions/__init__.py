"""Gemini's Interactions API: a turn as steps."""
