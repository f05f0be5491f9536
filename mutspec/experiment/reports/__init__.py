"""Reports of a run or a sweep: tables, pictures and a page, made of results alone.

What may not enter: models, data, Keras, Hydra.
"""
