"""The HTTP API: operations over the control service, each with the role that it needs. It reads
status snapshots and asks for things; it never touches a live loop."""
