"""Maps the package `culverhouse` to src/, so that new rooms are picked up by themselves."""

from setuptools import find_packages, setup

setup(packages=["culverhouse", *(f"culverhouse.{p}" for p in find_packages("src"))])
