"""Users, passwords and login conversations."""
