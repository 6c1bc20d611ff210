"""On-disk formats: the mail store is the truth, and other programs own it too.

Knows neither the index nor sessions. `formats.open_store` is the way in; `model/store.py` says what a store does.
"""
