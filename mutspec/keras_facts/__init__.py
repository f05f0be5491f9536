"""What Keras says, as data: its classes, their weights and arguments, dtypes, and the shapes that layers make.

A new release of Keras is mostly work in this room. A test compares its tables with the installed Keras. What may not
enter: Keras itself, models, plans.
"""
