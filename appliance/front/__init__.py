"""What users connect to: one TLS listener, two lanes, one `exchange`."""
