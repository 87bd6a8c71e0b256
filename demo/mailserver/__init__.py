"""A small mail server in Python, IMAP4rev1 and POP3 with TLS, for a demo on a machine without
Dovecot.

It keeps everything in memory and listens on loopback only. Of the protocols it speaks what a mail
collector or a simple mail program asks for; it is no server for mail that matters.
"""
