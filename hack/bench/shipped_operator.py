"""The operator as its image has it: without what only the extras for people install, some of which httpx loads."""

import sys

sys.modules["rich"] = None  # type: ignore[assignment]  # an import of it fails as in the image

from esa_preload_operator.cli.main import main  # noqa: E402 - after that

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
