"""Make an earlier version champion again: `python scripts/rollback.py --owner WHO --reason WHY [--to VERSION]`."""

import sys

from weighin.cli import main

if __name__ == "__main__":
    sys.exit(main(["rollback", *sys.argv[1:]]))
