"""What the program tells its users, shipped with it: the pages of `errors/` are served by the appliance itself."""
