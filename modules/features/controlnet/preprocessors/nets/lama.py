"""LaMa (Suvorov et al. 2022, Apache-2.0): fills what is masked by convolutions over the picture and its spectrum."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from modules.catalogue.tensor_shapes import Shapes
from modules.features.controlnet.arrays import RgbArray, at_resolution, at_size, cut_to_bytes
from modules.features.controlnet.preprocessors.nets.loading import as_batch, device_of, load_net

_HALVINGS: Final = 3
_SIDE: Final = 256
_FULL: Final = 127


class _SpectrumConv(nn.Module):
    """A convolution over the picture's frequencies."""

    def __init__(self, shapes: Shapes, name: str) -> None:
        super().__init__()
        out, into = shapes[f"{name}.conv_layer.weight"][:2]
        self.conv_layer, self.bn = nn.Conv2d(into, out, 1, bias=False), nn.BatchNorm2d(out)

    def forward(self, x: Tensor) -> Tensor:
        waves = torch.fft.rfft2(x, norm="ortho")
        parts = torch.stack([waves.real, waves.imag], dim=2).flatten(1, 2)
        parts = functional.relu(self.bn(self.conv_layer(parts)))
        # Real and imaginary parts of each channel lie side by side.
        changed = torch.complex(parts[:, 0::2], parts[:, 1::2])
        made: Tensor = torch.fft.irfft2(changed, s=x.shape[2:], norm="ortho")
        return made


class _SpectralPath(nn.Module):
    def __init__(self, shapes: Shapes, name: str) -> None:
        super().__init__()
        inside, into = shapes[f"{name}.conv1.0.weight"][:2]
        self.conv1 = nn.Sequential(nn.Conv2d(into, inside, 1, bias=False), nn.BatchNorm2d(inside), nn.ReLU())
        self.fu = _SpectrumConv(shapes, f"{name}.fu")
        self.conv2 = nn.Conv2d(inside, shapes[f"{name}.conv2.weight"][0], 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv1(x)
        made: Tensor = self.conv2(x + self.fu(x))
        return made


class _LamaPaths(nn.Module):
    """What local and global channels make of local and global ones."""

    def __init__(self, shapes: Shapes, name: str, stride: int, padding: int) -> None:
        super().__init__()
        for path in ("convl2l", "convl2g", "convg2l"):
            if f"{name}.{path}.weight" in shapes:
                out, into, side, _ = shapes[f"{name}.{path}.weight"]
                conv = nn.Conv2d(into, out, side, stride, padding, bias=False, padding_mode="reflect")
                setattr(self, path, conv)
        if f"{name}.convg2g.conv1.0.weight" in shapes:
            self.convg2g = _SpectralPath(shapes, f"{name}.convg2g")

    def forward(self, near: Tensor, far: Tensor | None) -> tuple[Tensor, Tensor | None]:
        parts = dict(self.named_children())
        local = parts["convl2l"](near)
        if far is not None and "convg2l" in parts:
            local = local + parts["convg2l"](far)
        everywhere = parts["convl2g"](near) if "convl2g" in parts else None
        if everywhere is not None and far is not None and "convg2g" in parts:
            everywhere = everywhere + parts["convg2g"](far)
        return local, everywhere


class _FourierConv(nn.Module):
    """Fast Fourier convolution (Chi et al. 2020) with its norms, for local and for global channels."""

    def __init__(self, shapes: Shapes, name: str, stride: int = 1, padding: int = 1) -> None:
        super().__init__()
        self.ffc = _LamaPaths(shapes, f"{name}.ffc", stride, padding)
        self.bn_l = nn.BatchNorm2d(shapes[f"{name}.bn_l.weight"][0])
        if f"{name}.bn_g.weight" in shapes:
            self.bn_g = nn.BatchNorm2d(shapes[f"{name}.bn_g.weight"][0])

    def forward(self, x: tuple[Tensor, Tensor | None]) -> tuple[Tensor, Tensor | None]:
        near, far = self.ffc(*x)
        return functional.relu(self.bn_l(near)), None if far is None else functional.relu(self.bn_g(far))


class _LamaResidual(nn.Module):
    def __init__(self, shapes: Shapes, name: str) -> None:
        super().__init__()
        self.conv1, self.conv2 = _FourierConv(shapes, f"{name}.conv1"), _FourierConv(shapes, f"{name}.conv2")

    def forward(self, x: tuple[Tensor, Tensor | None]) -> tuple[Tensor, Tensor | None]:
        near, far = self.conv2(self.conv1(x))
        assert x[1] is not None and far is not None
        return x[0] + near, x[1] + far


class _LamaJoin(nn.Module):
    def forward(self, x: tuple[Tensor, ...]) -> Tensor:
        return torch.cat(x, dim=1)


class Lama(nn.Module):
    """From a picture [1, 3, height, width] of 0 to 1 and a mask [1, 1, height, width] to the picture filled in there.

    Sides are multiples of 8.
    """

    def __init__(self, shapes: Shapes) -> None:
        super().__init__()
        parts: list[nn.Module] = [nn.ReflectionPad2d(3), _FourierConv(shapes, "model.1", padding=0)]
        parts += [_FourierConv(shapes, f"model.{2 + index}", stride=2) for index in range(_HALVINGS)]
        while f"model.{len(parts)}.conv1.bn_l.weight" in shapes:
            parts.append(_LamaResidual(shapes, f"model.{len(parts)}"))
        parts.append(_LamaJoin())
        for _ in range(_HALVINGS):
            into, out = shapes[f"model.{len(parts)}.weight"][:2]
            up = nn.ConvTranspose2d(into, out, 3, stride=2, padding=1, output_padding=1)
            parts += [up, nn.BatchNorm2d(out), nn.ReLU()]
        out, into = shapes[f"model.{len(parts) + 1}.weight"][:2]
        parts += [nn.ReflectionPad2d(3), nn.Conv2d(into, out, 7)]
        self.model = nn.Sequential(*parts)

    def forward(self, picture: Tensor, mask: Tensor) -> Tensor:
        x: Tensor | tuple[Tensor, Tensor | None] = self.model[0](torch.cat([picture * (1 - mask), mask], dim=1))
        for part in list(self.model)[1:]:
            x = part((x, None) if isinstance(part, _FourierConv) and isinstance(x, Tensor) else x)
        assert isinstance(x, Tensor)
        return mask * x.sigmoid() + (1 - mask) * picture


def load_lama(path: Path, device: torch.device) -> Lama:
    """ControlNetLama.pth. Raises ModelFileError."""
    return load_net(path, Lama, device, prefix="generator.")


def lama_filled(net: Lama, masked: RgbArray) -> RgbArray:
    """A picture with its mask, [height, width, 4], filled in where the mask is white, worked out at 256 pixels."""
    height, width = masked.shape[:2]
    small = at_resolution(masked, _SIDE, lambda padded: _filled(net, padded))
    where = masked[:, :, 3:]
    return np.dstack([np.where(where > _FULL, at_size(small, (width, height)), masked[:, :, :3]), where])


@torch.inference_mode()
def _filled(net: Lama, masked: RgbArray) -> RgbArray:
    device = device_of(net)
    mask = torch.from_numpy((masked[:, :, 3] > 0).astype(np.float32))[None, None].to(device)
    found = net(as_batch(masked[:, :, :3], device) / 255, mask)[0].permute(1, 2, 0)
    return cut_to_bytes(found.float().nan_to_num(0).cpu().numpy() * 255)
