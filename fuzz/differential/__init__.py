"""Differential fuzzing: the real program against memcached itself, frame by frame.

A client's stream goes to the program; a tap records what the program sends up to one memcached. The independent judge
of tests/support reads every byte of it. A second memcached is sent the same canonical bytes and nothing else, and its
replies are what the client must have got, less what `noreply`, `q` and quiet opcodes hide, plus the program's own
refusals. `reading*.py` says which those are: a second reading of every stream, made from the documentation and the
judge, without any of the program's code.
"""
