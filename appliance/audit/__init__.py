"""Keeps the record of every decision: chain, writer, queries. No audit, no access."""
