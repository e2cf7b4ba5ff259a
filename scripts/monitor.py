"""Look at the prediction log once: `python scripts/monitor.py [--contract FILE] [--every]`."""

import sys

from weighin.cli import main

if __name__ == "__main__":
    sys.exit(main(["monitor", *sys.argv[1:]]))
