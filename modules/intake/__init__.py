"""From a request to a job: styles, comments, names, settings, checkpoint and seeds, and the pictures a script plans."""
