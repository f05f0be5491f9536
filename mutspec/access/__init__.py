"""Access to the values of models: read by block from files and live models, digested, by one thread at a time.

What may not enter: plans and their steps.
"""
