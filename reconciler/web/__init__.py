"""The HTTP API. It reads status snapshots and asks for things; it never touches a live loop."""
