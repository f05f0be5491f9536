"""The commands, one module each. A module here has a `command`, and a line in `mutspec.cli.main.COMMANDS`."""
