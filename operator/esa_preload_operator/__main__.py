"""`python -m esa_preload_operator` does what `esa-preload-operator` does."""

import sys

from esa_preload_operator.cli.main import main

sys.exit(main())
