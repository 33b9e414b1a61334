"""The one setting that pyproject.toml cannot express: the location of fastnn.h."""

from setuptools import Extension, setup

import fastnn

setup(ext_modules=[Extension("_score", ["_score.c"], include_dirs=[fastnn.get_include()])])
