"""What pre-training on a CPU gains by our attention."""
