"""Handing mail to a mail system: what LMTP (RFC 2033) and SMTP (RFC 5321) have in common, which is
nearly all.

The dialogue is our own for both. smtplib and aiosmtplib take one outcome for a message, read only
the first of LMTP's replies (so the next one answers the next command, and a refused recipient
counts as served), and pass lone CR and LF on. With a dialogue for LMTP there, SMTP is EHLO,
STARTTLS, AUTH and one reply for everybody.
"""
