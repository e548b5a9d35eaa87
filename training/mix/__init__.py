"""Puts a training set together, and tells what it has in common with an evaluation."""
