"""Tests that notice: small changes of the program, one at a time, and whether a test fails.

`make mutants` draws a random sample of changes (`mutations`), runs for each the tests that enter
the changed function (`recording`), and prints the changes that no test noticed."""
