"""Sampling tests run on one thread: sums then always add up in the same order."""

from __future__ import annotations

import torch

torch.set_num_threads(1)
