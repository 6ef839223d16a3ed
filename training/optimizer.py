"""Muon for the hidden matrices, AdamW for the rest.

Muon: momentum whose update is replaced by its nearest orthogonal matrix, through a Newton-Schulz iteration
(Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/). A convolution counts as the matrix [out, in*h*w].
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

COEFFICIENTS = (3.4445, -4.7750, 2.0315)


def orthogonalised(matrix: Tensor, steps: int = 5) -> Tensor:
    """An approximation of U V^T for matrix = U S V^T: [rows, columns] in, the same shape out, bfloat16."""
    a, b, c = COEFFICIENTS
    x: Tensor = matrix.bfloat16()
    tall = x.shape[0] > x.shape[1]
    x = x.mT if tall else x
    x = x / (x.norm() + 1e-7)
    for _ in range(steps):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.mT if tall else x


class Muon(torch.optim.Optimizer):
    """Nesterov momentum with orthogonalised updates; weight decay is decoupled."""

    def __init__(
        self, parameters: Iterable[nn.Parameter], lr: float, momentum: float = 0.95, decay: float = 0.0
    ) -> None:
        super().__init__(parameters, {"lr": lr, "momentum": momentum, "decay": decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]  # narrower than the base class: nothing here takes a closure
        """One update of every parameter that has a gradient."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, group)

    def _update(self, parameter: nn.Parameter, group: dict[str, float]) -> None:
        gradient = parameter.grad
        assert gradient is not None
        state = self.state[parameter]
        if "momentum" not in state:
            state["momentum"] = torch.zeros_like(gradient)
        momentum = state["momentum"]
        momentum.lerp_(gradient, 1 - group["momentum"])
        matrix = gradient.lerp(momentum, group["momentum"]).flatten(1)
        update = orthogonalised(matrix).to(parameter.dtype)
        scale = max(1.0, matrix.shape[0] / matrix.shape[1]) ** 0.5
        parameter.mul_(1 - group["lr"] * group["decay"])
        parameter.add_(update.view_as(parameter), alpha=-group["lr"] * scale)


def build_optimizers(
    model: nn.Module, muon_lr: float, adam_lr: float, ends: tuple[str, ...]
) -> list[torch.optim.Optimizer]:
    """Muon over the matrices and kernels inside, AdamW over vectors and layers whose name starts with one of `ends`."""
    hidden: list[nn.Parameter] = []
    rest: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        inside = parameter.ndim >= 2 and not name.startswith(ends)
        (hidden if inside else rest).append(parameter)
    return [Muon(hidden, muon_lr), torch.optim.AdamW(rest, adam_lr, betas=(0.9, 0.98), weight_decay=0.0)]
