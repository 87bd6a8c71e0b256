"""Who may do what over HTTP: roles, tokens, browser sessions, and the guard in front of the routes."""
