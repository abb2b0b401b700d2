"""``python -m iochain.cli``: the command line, where the script ``iochain`` is not on the path."""

import sys

from iochain.cli import main

if __name__ == "__main__":
    sys.exit(main())
