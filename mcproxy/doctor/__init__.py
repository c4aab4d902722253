"""`mcproxy doctor`: looks at a running deployment as an auditor would. registry.py lists how."""
