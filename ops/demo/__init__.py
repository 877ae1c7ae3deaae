"""A trial in one command: an appliance, an agent and a cluster on this machine."""
