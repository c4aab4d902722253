"""What is kept on disk beside the users file, and how: whole or not at all. Plain calls that block."""
