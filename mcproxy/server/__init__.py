"""The trio side: listening, handshakes, logins and everything else that waits."""
