from fastnn._kernels_f32 import *  # noqa: F403  the same module in another precision
