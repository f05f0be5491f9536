"""Model files: a table of formats, and the modules that read and write them.

A format is a row of the table in `formats.py`, and a module. Writers copy values from one file to another and compute
none. What may not enter: plans, Keras (`mutspec.model.live` writes Keras's own files), NumPy where a file is only read.
"""
