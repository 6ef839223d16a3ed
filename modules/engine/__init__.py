"""The process that owns the device: it takes one job at a time and reports what happens as typed events."""
