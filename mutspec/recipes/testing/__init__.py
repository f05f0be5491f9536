"""Recipe tests: `dense_noise.test.yaml` beside `dense_noise.yaml`. They are found, read, run, and reported on.

`document` declares what a test file holds, `reading` finds and reads files, `models` makes the models that tests name,
`expectations` has a function for each thing that a test can expect, and `run` puts them together. What may not enter:
printing, and code or files that only a test file names.
"""
