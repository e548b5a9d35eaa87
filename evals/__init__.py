"""Judges any OpenAI-compatible endpoint, over HTTP only."""
