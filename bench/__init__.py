"""`make bench`: how many messages a second `mailcollector run --once` collects from a private Dovecot."""
