"""Versioned recipes: what a repository keeps beside its plans, so that they do the same years later.

- `locking` writes the locks of recipes, `checking` says what differs from one, and `replaying` makes everything again.
  What a lock holds, and where it lies, is in the modules `lock_…`.
- `signatures` signs and checks files with `ssh-keygen`.
- `testing` runs the tests of recipes, and `scaffold` makes new repositories.
- `schemas` has the JSON schemas of these documents.

What may not enter: the command line.
"""
