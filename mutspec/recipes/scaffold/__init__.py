"""New recipe repositories: the files that one begins with, and how they come into a folder.

`files` has them as they are, with `@NAME@` and `@REQUIREMENT@` for what differs.
What may not enter: the command line, and files of a repository that is there already, which are never changed.
"""

from mutspec.recipes.scaffold.repository import MadeRepository, make_repository

__all__ = ["MadeRepository", "make_repository"]
