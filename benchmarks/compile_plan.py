"""Compiles a plan of 1,000 steps for a model of 1,000 layers, and prints the seconds that it took.

python benchmarks/compile_plan.py MODEL
"""

from __future__ import annotations

import sys
import time

import mutspec

STEPS = 1000


def main() -> None:
    """Compiles a plan in which each step puts noise on one layer, by name."""
    (model,) = sys.argv[1:]
    steps = [
        {"id": f"noise_{index}", "op": "gaussian_noise", "target": f"dense_{index}/kernel", "std": 0.01}
        for index in range(STEPS)
    ]
    start = time.perf_counter()
    plan = mutspec.plan({"mutspec": 1, "steps": steps})
    mutspec.dry_run(plan, model)
    print(time.perf_counter() - start)


if __name__ == "__main__":
    main()
