"""What servers say when they refuse something, and what it means. Nothing here talks to a server."""
