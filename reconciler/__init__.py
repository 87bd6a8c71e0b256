"""mailcollector: keeps a set of mail collectors running as declared."""
