"""What `mutspec validate --fix` writes otherwise: the order of keys, quotes, numbers, spaces at the ends of lines.

The text is edited at the places where something changes. So comments, anchors, blank lines and the style of everything
else stay as they are, which they would not if the document were written again. What may not enter: files.
"""

from mutspec.lint.fixing.fix import Fixed, fixed

__all__ = ["Fixed", "fixed"]
