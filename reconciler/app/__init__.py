"""The composition root: the only folder that knows every adapter. The command line calls it.

`run_command` starts the daemon or runs once, `without_daemon` does what the other verbs do without
a daemon, `session_assembly` composes sessions, `adapters` opens what they consist of.
"""
