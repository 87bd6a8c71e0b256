"""Who may do what over HTTP: roles, tokens, browser sessions, and the guard before the routes."""
