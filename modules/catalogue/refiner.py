"""Which family may go on with what another began."""

from modules.families import Family


def refiner_refusal(began: Family, refiner: Family) -> str | None:
    """Why a refiner can't go on with latents that the other family began, as a sentence; None if it can."""
    if refiner.shares_latents_with(began):
        return None
    return (
        f"A refiner of {refiner.label} can't go on with what {began.label} began, since their latents differ: "
        "choose another refiner, or none."
    )
