"""`python -m mcproxy` is `mcproxy`."""

import sys

from mcproxy.cli.main import main

sys.exit(main())
