"""Backups: the whole of an appliance in one encrypted file, and back from it into either database."""
