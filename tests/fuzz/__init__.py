"""Hostile and damaged inputs, by the thousand, against exactly what may become of them.

A *case* is a folder of files, one of them mutated, and the calls that read it. Each call runs in a process of its own,
with limits on time, memory and what it writes, and gets a *verdict*: right, refused in one plain sentence, or a
finding. A case is known by two numbers, `SEED:NUMBER`, and is the same on every machine.

    python -m tests.fuzz --minutes 10 --seed 1     # or: make fuzz MINUTES=10 SEED=1
    python -m tests.fuzz --case 1:4711             # one case again, with all that its calls say
"""
