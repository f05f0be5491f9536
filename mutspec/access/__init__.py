"""Access to the values of models: reading files and live models by block, digests of values, locks of live models.

What may not enter: plans and their steps.
"""
