"""mutspec mutates neural networks from YAML plans: reproducibly, reviewably and fast.

```python
plan = mutspec.load_plan("conf/plan/dense_noise.yaml")
print(mutspec.dry_run(plan, "model.keras"))
mutspec.apply(plan.with_(std=0.05, seed=3), "model.keras", "mutant.keras")
print(mutspec.diff("model.keras", "mutant.keras"))
```
"""

from mutspec import _first as _first
from mutspec.api import (
    MutspecWarning,
    apply,
    breaking_point,
    diff,
    dry_run,
    limits,
    load_plan,
    lock,
    matching,
    mutated,
    patch,
    plan,
    provenance,
    sweep,
    verify,
)
from mutspec.errors import CallError, CheckError, EnvironmentProblem, ModelError, MutspecError, OpError, PlanError
from mutspec.version import __version__

__all__ = [
    "CallError",
    "CheckError",
    "EnvironmentProblem",
    "ModelError",
    "MutspecError",
    "MutspecWarning",
    "OpError",
    "PlanError",
    "__version__",
    "apply",
    "breaking_point",
    "diff",
    "dry_run",
    "limits",
    "load_plan",
    "lock",
    "matching",
    "mutated",
    "patch",
    "plan",
    "provenance",
    "sweep",
    "verify",
]
