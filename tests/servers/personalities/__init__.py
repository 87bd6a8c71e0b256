"""Servers of the field, scripted: what each says and how it differs, with the public page that
shows it (`known`); one small IMAP and one POP3 server that speak like any of them (`imap`, `pop3`);
a mailbox that both serve (`store`)."""
