"""Regional Prompter before a job is queued: which part of a prompt guides which part of the picture."""
