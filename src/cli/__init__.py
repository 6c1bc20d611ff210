"""The `culverhouse` command: reads arguments, calls one function, prints what it returns."""
