"""What a message's bytes say: header fields, addresses, loops. Pure; nothing here raises, whatever
the bytes."""
