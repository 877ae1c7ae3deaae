"""The appliance: authenticates, decides, records and relays each request to the agent of its cluster."""
