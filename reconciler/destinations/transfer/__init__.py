"""Transfer of mail to a mail system: the common part of LMTP (RFC 2033) and SMTP (RFC 5321), which
is nearly all of both.

Both use a dialogue of our own, not smtplib or aiosmtplib. Those expect one reply for a message.
Of LMTP's replies they read only the first. So they take the next one for the answer to the next
command, and count a refused recipient as served. They also pass on lone CR and LF. Beyond the
dialogue for LMTP, SMTP needs only EHLO, STARTTLS, AUTH and one reply for all recipients.
"""
