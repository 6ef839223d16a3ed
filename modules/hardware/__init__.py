"""What the machine can do and what is made of it: device, number types, memory layout, threads and attention."""
