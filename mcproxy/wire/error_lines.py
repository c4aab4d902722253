"""memcached's own error lines, where more than one part of the grammar has the mistake."""

ERROR = b"ERROR\r\n"
BAD_EXPTIME = b"CLIENT_ERROR invalid exptime argument\r\n"
BAD_FORMAT = b"CLIENT_ERROR bad command line format\r\n"
# The proxy's own: memcached grants everything to everybody.
DENIED = b"CLIENT_ERROR access denied\r\n"
