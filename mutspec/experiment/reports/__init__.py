"""What people read of a run or sweep: tables, pictures, a page. All of it is made of results.

What may not enter: models, data, Keras, Hydra.
"""
