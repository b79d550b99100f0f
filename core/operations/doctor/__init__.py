"""`manage.py doctor`: checks the service's surroundings, and reports problems with their remedies.

Each concern has a module with a `check` that yields findings. `examination` lists the checks, `presentation` prints.
"""
