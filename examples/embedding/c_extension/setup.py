"""The one thing that pyproject.toml can't say: where fastnn.h is."""

from setuptools import Extension, setup

import fastnn

setup(ext_modules=[Extension("_score", ["_score.c"], include_dirs=[fastnn.get_include()])])
