"""Allowlists, grants and rulesets."""
