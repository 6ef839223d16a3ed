"""The process that owns the device: it takes one job at a time and tells what happens as typed events."""
