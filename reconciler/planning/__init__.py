"""Planning, pure: what is declared and what was good make the desired state; against the running
set it is a plan."""
