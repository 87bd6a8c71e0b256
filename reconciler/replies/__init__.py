"""The meaning of servers' refusals. Nothing here talks to a server."""
