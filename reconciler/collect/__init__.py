"""Collecting: one session over one account (`session`), when the next one is due, and whom each
message is for (`routing`).

A message has these forms on its way through a session. Each holds the one before it:

    Listed          what the server lists: key and size
    Attempt         with what the ledger knows of it: it is to be fetched
    Arrival         its octets come; `IncomingMessage` unifies line ends and takes the digests
    StagedAttempt   with its recipients and fingerprint: its bytes are at the destination
    Record          what became of it, for the ledger

The next session finds the record as an `Entry`. An `Orphan` is an entry of a folder that is listed
no longer.
"""
