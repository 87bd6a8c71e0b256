"""The command line: what is typed, what is printed, which code ends it."""
