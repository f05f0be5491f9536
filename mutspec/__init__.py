"""mutspec: mutate neural networks from YAML plans: reproducibly, reviewably and fast.

```python
plan = mutspec.load_plan("conf/plan/dense_noise.yaml")
print(mutspec.dry_run(plan, "model.keras"))
mutspec.apply(plan.with_(std=0.05, seed=3), "model.keras", "mutant.keras")
print(mutspec.diff("model.keras", "mutant.keras"))
```
"""

__version__ = "0.1.0"

from mutspec.api import MutspecWarning, apply, diff, dry_run, load_plan, mutated, plan
from mutspec.language.errors import CallError, CheckError, EnvironmentProblem, ModelError, MutspecError, PlanError

__all__ = [
    "CallError",
    "CheckError",
    "EnvironmentProblem",
    "ModelError",
    "MutspecError",
    "MutspecWarning",
    "PlanError",
    "apply",
    "diff",
    "dry_run",
    "load_plan",
    "mutated",
    "plan",
]
