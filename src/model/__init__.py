"""The vocabulary every room speaks. Imports nothing but the standard library."""
