"""`make bench`: how fast mailcollector is, beside other programs and beside what disk and network
allow."""
