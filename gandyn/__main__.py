"""The command line as `python -m gandyn`."""

from .cli import main

if __name__ == "__main__":
    main()
