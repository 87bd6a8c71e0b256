"""The control loop: watch, observe, plan, apply; the running set of loops; the status of each
collector."""
