"""What both ends of the tunnel share. Knows nothing of people, roles or storage."""
