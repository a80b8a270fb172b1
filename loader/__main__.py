"""`python -m loader` is the `loader` command."""

from __future__ import annotations

from loader.cli.main import main

if __name__ == "__main__":
    main()
