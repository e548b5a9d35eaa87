"""Fine-tuning: a recipe, and `run`, which does what it says; the command and the worker of jobs use the same."""
