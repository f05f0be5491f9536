"""Text for people: words for numbers and values, tables, and names made safe to print.

What may not enter: models, plans and results.
"""
