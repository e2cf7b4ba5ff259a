"""`python -m weighin`."""

import sys

from weighin.cli import main

sys.exit(main())
