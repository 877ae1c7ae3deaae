"""How answers look: tables for people, JSON, YAML and names for scripts. Pure: no terminal, no clock, no network."""
