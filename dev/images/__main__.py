"""`python -m dev.images build|push|names`."""

import sys

from dev.images.cli import main

sys.exit(main())
