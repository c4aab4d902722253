"""The relay, turn by turn: every test is a conversation over socket pairs, without trio and without a clock."""
