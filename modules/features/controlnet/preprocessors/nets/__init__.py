"""The networks behind preprocessors, each read from the file that people have, and run as its authors run it."""
