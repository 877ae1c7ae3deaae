"""Measures this tree against nginx and against itself, on one machine. Start with README.md beside this file."""
