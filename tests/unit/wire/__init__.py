"""The wire, byte by byte: no sockets, no clock."""
