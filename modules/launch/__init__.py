"""From a bare Python to a running server: interpreter, virtual environment, torch for this hardware, requirements.

Standard library only, and written so that Python 3.8 can still read it: people arrive with the Python that another
program needed, and get one sentence or a newer Python instead of a syntax error.
"""
