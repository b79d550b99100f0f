"""`manage.py doctor`: looks at what the service runs on, says what is wrong and how to mend it.

One concern a file, each with a `check` that yields findings; `examination` lists them and `presentation` shows them.
"""
