"""What a run comes to, for the terminal, in Markdown and as one HTML page. `content` decides what is said, once."""
