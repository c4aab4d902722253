"""What may be done, and from where: allowlists, grants and the rulesets made of them. No input or output."""
