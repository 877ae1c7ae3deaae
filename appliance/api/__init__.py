"""The admin HTTP API: parse, ask core or store, render. No rules here."""
