"""What strangers find out and get: who exists, by time and bytes, and how many guesses."""
