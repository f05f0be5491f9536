"""The entry point of `python -m mutspec`."""

from mutspec.cli import main

if __name__ == "__main__":
    main()
