"""Connections to remote servers: bounded in time and octets, with TLS that always verifies."""
