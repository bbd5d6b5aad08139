"""What the operator makes of each example, in full, so that a change of it shows in review.

`make generate` renders anew, `make verify` and the unit tests compare.
"""
