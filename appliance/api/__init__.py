"""The admin HTTP API: parse, ask the core or the store, render. No rules of its own."""
