"""From a bare Python to a running server: interpreter, virtual environment, torch for this hardware, requirements."""
