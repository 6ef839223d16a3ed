"""Control models at work: what they add to the UNet's forwards, and how they change its attention."""
