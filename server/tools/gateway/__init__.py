"""Calls to other people's servers: written, guarded, sent with credentials nobody else sees, and cut to size."""
