"""Detectors: a picture becomes boxes and masks of faces, hands, persons; `plan` lists them, `detect` runs them."""
