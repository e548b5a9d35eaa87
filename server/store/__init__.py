"""What must outlive a request: a database behind plain functions, nothing of the rest of the server."""
