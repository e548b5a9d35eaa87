"""`python -m evals eval …`, for where the command `trammel` is not installed."""

from evals.cli import app

if __name__ == "__main__":
    app()
