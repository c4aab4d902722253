"""memcached's own error lines, where more than one part of the grammar has the mistake."""

from typing import Final

ERROR: Final = b"ERROR\r\n"
BAD_EXPTIME: Final = b"CLIENT_ERROR invalid exptime argument\r\n"
BAD_FORMAT: Final = b"CLIENT_ERROR bad command line format\r\n"
# The proxy's own: memcached grants everything to everybody.
DENIED: Final = b"CLIENT_ERROR access denied\r\n"
