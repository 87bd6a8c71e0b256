"""The composition root: the only room that knows every adapter. What the command line calls.

`run` starts the daemon or runs once, `offline` does what the other verbs do without a daemon,
`sessions` composes a session of the adapters that its collector asks for.
"""
