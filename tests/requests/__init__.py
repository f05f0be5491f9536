"""What people ask for in public threads, each as a plan of a step or two and as what it must give.

`models` has the models that it is asked of. In the modules `about_layers`, `about_parts`, `about_sequences`,
`about_training`, `about_models`, `about_widths` and `about_pruning` each function is a request: its decorator has the
threads and the plan, and it builds by hand, in Keras, what the mutant must predict. `test_requests` applies each plan
from file to file and in memory. More on pruned channels is in `tests/widths`.
"""
