"""A small mail server in Python, for a demo on a machine without Dovecot: IMAP4rev1 and POP3, with
TLS.

It keeps everything in memory and listens on loopback only. It supports the commands of a mail
collector and of simple mail programs, and is not meant for real mail.
"""
