"""What the operator makes of each example, and the status it writes in each state of a job, in full, so that a change
of it shows in review.

`make generate` renders anew, `make verify` and the unit tests compare.
"""
