"""Dying everywhere (hazard D13): whole sessions of the real program, killed at every step that
somebody outside can see, by SIGKILL, by strace and by power cuts; then started again, and
everything counted. `make crashwalk` does all of it."""
