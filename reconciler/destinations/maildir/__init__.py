"""Delivery into Maildirs: durable, and never twice.

A file's name is a function of the history's epoch, the message's identity and the recipient
(`names`), so that a message that is delivered again after a crash meets its own traces. The steps,
and what holds after each:

1. `stage`: the content is in `tmp/NAME`, on its way to the disk. A crash leaves a file with one
link: the next attempt
   replaces it by a fresh one.
2. `commit`, files: each `tmp/NAME` is fsynced, and `tmp/` is. Nothing is visible yet; a crash is
like one before.
3. `commit`, link: `new/NAME` is a second link to the same file. A mail program may show it, read
it, move it to `cur/`
   or another folder. After a crash the next attempt finds that `tmp/NAME` has two links and the
   same content: the
   message was delivered, wherever its other name is now, and is adopted. Where only `new/NAME` is
   left, and holds the
   same, it is adopted too. Different content in either place gets a name of its own: no file is
   ever replaced.
4. `commit`, directory: `new/` is fsynced; only then a message is reported as delivered.
5. (the ledger records it; before that a crash is like one after step 3)
6. `settle`: `tmp/NAME` is removed. A crash leaves it there with two links, which costs a
directory's entry; once the
   mail itself is deleted it has one link, and goes after 36 hours (`stale`).

An error at any step leaves nothing in `new/` that is not reported, but for what a mail program has
moved meanwhile; that is adopted at the next attempt. What remains: mail that a program deletes for
good between steps 3 and 5, and a crash before 5, is delivered once more, for its `tmp/NAME` then
has one link like one that was never delivered. Where the file system makes no links (whichever way
it says so), step 3 is a rename: then mail that is moved out of `new/` between 3 and 5, and a crash
before 5, is delivered once more as well.
"""

from reconciler.destinations.maildir.delivery import Maildir

__all__ = ["Maildir"]
