"""Decides. Pure: no I/O, no clock; `now` is an argument."""
