"""Training losses: (sr, hr) -> scalar."""

from monai_sr.losses.pixel import CharbonnierLoss, L1Loss, MSELoss

__all__ = ["CharbonnierLoss", "L1Loss", "MSELoss"]
