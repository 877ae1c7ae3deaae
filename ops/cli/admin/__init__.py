"""The administrator's half of the `fairlead` command: one file for each kind of thing the admin API knows."""
