"""Detail Daemon: more or less detail by another noise level shown to the model."""
