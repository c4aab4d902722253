"""Coverage-guided fuzzing of the wire with atheris: one target for each parser, and one for the replies."""
