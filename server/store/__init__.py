"""What must outlive a request: SQLite behind plain functions, nothing of the rest of the server."""
