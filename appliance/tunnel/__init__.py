"""What agents connect to: enrolment, the private CA, and the registry of live sessions."""
