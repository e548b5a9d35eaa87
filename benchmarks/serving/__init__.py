"""Trammel against other local servers: the same work, model, threads, context and places, in alternation."""
