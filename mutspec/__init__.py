"""mutspec mutates neural networks from YAML plans: reproducibly, reviewably and fast.

```python
plan = mutspec.load_plan("conf/plan/dense_noise.yaml")
print(mutspec.dry_run(plan, "model.keras"))
mutspec.apply(plan.with_(std=0.05, seed=3), "model.keras", "mutant.keras")
print(mutspec.diff("model.keras", "mutant.keras"))
```
"""

from mutspec import _first as _first
from mutspec.api.experiments import breaking_point, sweep
from mutspec.api.given import MutspecWarning
from mutspec.api.models import diff, matching, patch, provenance
from mutspec.api.mutation import apply, dry_run, limits, load_plan, mutated, plan
from mutspec.api.recipes import lock, verify
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
