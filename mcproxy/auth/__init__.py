"""Who somebody is: users, passwords and the login conversations, without any input or output of their own."""
