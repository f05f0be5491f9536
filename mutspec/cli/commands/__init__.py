"""The commands, a file each. A module here has a `command`, and a line in `mutspec.cli.main.COMMANDS`."""
