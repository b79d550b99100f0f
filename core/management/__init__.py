"""The commands of manage.py. Each one parses its arguments and calls the package that does the work."""
