"""Tests of the measurements, and the one measurement that is a test."""
