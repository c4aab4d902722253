"""What listens, admits and identifies."""
