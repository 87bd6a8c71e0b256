"""Delivery into Maildirs: durable, and never twice.

A file's name is a function of the epoch, the message's identity and the recipient
(`delivery_names`). So a message that is delivered again after a crash finds what the first attempt
left. The steps, and what holds after each:

1. `stage`: the content is in `tmp/NAME`, on its way to the disk. A crash leaves a file with one
   link. The next attempt replaces it by a new one.
2. `commit`, files: each `tmp/NAME` is fsynced, then `tmp/`. Nothing is visible yet. A crash is like
   one after step 1.
3. `commit`, link: `new/NAME` is a second link to the same file. A mail program may show it, read
   it, move it to `cur/` or another folder. After a crash the next attempt finds that `tmp/NAME` has
   two links and the same content. So the message was delivered, wherever its other name is now, and
   is adopted. Where only `new/NAME` is left and has the same content, it is adopted too. Where
   either has other content, the new one gets another name: no file is ever replaced.
4. `commit`, directory: `new/` is fsynced. Only then a message is reported as delivered.
5. The ledger records it. A crash before that is like one after step 3.
6. `settle`: `tmp/NAME` is removed. A crash before that leaves it with two links, which costs one
   directory entry. Once the mail itself is deleted it has one link, and is removed after 36 hours.

An error at any step leaves nothing in `new/` that is not reported, except what a mail program has
moved meanwhile. The next attempt adopts that.

Two cases remain in which a message is delivered once more, both with a crash before step 5:

- Somebody deletes the mail for good after step 3. Then its `tmp/NAME` has one link, like one that
  was never delivered.
- The file system supports no links, so step 3 is a rename, and the mail is moved out of `new/`.
"""

from reconciler.destinations.maildir.delivery import Maildir

__all__ = ["Maildir"]
