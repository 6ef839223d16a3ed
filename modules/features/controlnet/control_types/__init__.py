"""Control types: which preprocessors and models belong together."""
