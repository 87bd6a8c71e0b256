"""Conversations with remote servers: a connection that is bounded in time and bytes, and TLS that
always verifies."""
