"""Pure rules of the control plane, one subject per module: states, cost, budget, promotion.

Neither Django nor torch is imported here. Services load the figures and store the results.
"""

from flywheel.runs.domain.budget import (
    budget_left,
    budget_refusal,
    overrun,
    reservation_of,
    second_person_refusal,
)
from flywheel.runs.domain.cost import (
    GENERATION_SHARE,
    estimate_cost,
    estimate_error,
    managed_price,
    price_of,
)
from flywheel.runs.domain.promotion import (
    RULE,
    PromotionVerdict,
    model_name,
    override_problem,
    promotion_rule,
)
from flywheel.runs.domain.states import (
    ENDED,
    LEASED,
    NEXT,
    PURPOSE_OF_METHOD,
    may_become,
    missing,
    redispatch_after,
)
from flywheel.runs.domain.workload import CENT, MOST_MONEY, Estimate, PastRun, Rate, Workload

__all__ = [
    "CENT", "ENDED", "GENERATION_SHARE", "LEASED", "MOST_MONEY", "NEXT", "PURPOSE_OF_METHOD", "RULE", "Estimate",
    "PastRun", "PromotionVerdict", "Rate", "Workload", "budget_left", "budget_refusal", "estimate_cost",
    "estimate_error", "managed_price", "may_become", "missing", "model_name", "override_problem",
    "overrun", "price_of", "promotion_rule", "redispatch_after", "reservation_of", "second_person_refusal",
]
