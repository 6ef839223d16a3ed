"""What pictures a script makes: how many, with which seeds, and in what each differs from the request."""

from modules.intake.plans.picture import MOST_PICTURES, Picture, seeds_of
from modules.intake.plans.table import PLANS, plan_of, with_drawn_seeds

__all__ = ["MOST_PICTURES", "PLANS", "Picture", "plan_of", "seeds_of", "with_drawn_seeds"]
