"""Dynamic thresholding: a high CFG scale in the range of a low one."""
