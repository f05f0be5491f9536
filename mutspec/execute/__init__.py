"""Executors: they run a compiled plan over the homes of tensors, compare models, and report.

State lives here, for the length of a call. What may not enter: the command line. Nothing here prints.
"""
