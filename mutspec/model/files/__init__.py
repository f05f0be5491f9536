"""Model files: a table of formats, and the module that reads each of them.

A format is a row of the table in `formats.py` and a module. What may not enter: Keras, plans, the values of weights.
"""
