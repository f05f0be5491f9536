"""The table of docs/architecture-table.md: every structural op on real architectures, from file to file.

Models are built in Keras (`models`), mutated by mutspec (`steps` says how), and judged in a process of plain Keras that
cannot import mutspec (`plain_keras`); `table` puts this together, and `page` writes it down.

    python -m tests.architecture_table --write [--only MODEL …]

Another comparison, `formats`, takes all small models of the zoo and all three formats. It compares what is in the files
with what Keras writes for the same mutants, and needs half an hour:

    python -m tests.architecture_table --formats [--only MODEL …]
"""
