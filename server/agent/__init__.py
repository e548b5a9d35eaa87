"""The loop that calls, checks, asks, executes and answers, kept by guards that do not trust the model."""
