"""Control models: files to modules, offline, recognised by their tensors."""
