"""Looking for what nobody thought of: streams made at random against the real program, and against its parsers."""
