"""Mutation testing of the wire: cosmic-ray's operators, and one for patterns, against the wire's unit tests."""
