"""The Python API: what the command line does, for Keras models and for model files. `mutspec` has its names.

What may not enter: what takes more than to check arguments, to call a room, and to warn. Each function imports what it
calls, so that `import mutspec` is quick.
"""
