"""The Berkeley Function Calling Leaderboard's rules: how it offers functions, and when a call counts as right."""
