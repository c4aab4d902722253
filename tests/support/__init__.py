"""What the tests need around the program: upstreams, a recording tap, the real program as a process, conversations."""
