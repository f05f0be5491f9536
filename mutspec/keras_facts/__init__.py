"""Facts about Keras, as data: its classes, their weights and arguments, dtypes, and the output shapes of layers.

A new release of Keras is mostly work in this room. The tests in `tests/keras_facts` compare its tables with the
installed Keras, and name what is new and the table to add it to. What may not enter: Keras itself, models, plans.
"""
