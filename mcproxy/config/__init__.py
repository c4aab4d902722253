"""Configuration: a YAML file read with its line numbers, validated whole, every problem told at once."""
