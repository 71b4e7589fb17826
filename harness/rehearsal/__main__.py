"""Entry point of `python -m rehearsal`."""

from rehearsal.cli.main import main

if __name__ == "__main__":
    main()
