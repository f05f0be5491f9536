"""Executors: they run a compiled plan over tensor stores, which are model files or live models, and report.

State lives here, for the length of a call. What may not enter: the command line. Nothing here prints.
"""
