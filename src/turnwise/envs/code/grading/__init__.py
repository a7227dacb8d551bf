"""Grading: a solution in one fresh sandbox, what checks it in another or outside, plain values between them."""
