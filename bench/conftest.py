"""Fixtures of the benchmarks: one thread for all, and a table of ratios at the end."""

import platform
from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

import fastnn


@pytest.fixture(autouse=True)
def one_thread():
    """Limit NumPy's BLAS to one thread, as fastnn is."""
    with threadpool_limits(1):
        yield


def pytest_addoption(parser):
    """Add the option --tables."""
    parser.addoption("--tables", type=Path, help="a Markdown file to write the tables to")


def pytest_terminal_summary(terminalreporter, config):
    """Print the medians side by side; a pair with different results shows no time."""
    session = getattr(config, "_benchmarksession", None)
    pairs = {}
    for bench in session.benchmarks if session else []:
        pairs.setdefault((bench.extra_info["table"], bench.group), {})[bench.params["who"]] = bench
    tables = {}
    for (table, group), by_name in pairs.items():
        if {"fastnn", "numpy"} <= by_name.keys():
            tables.setdefault(table, []).append((group, by_name["fastnn"], by_name["numpy"]))
    lines = []
    for table, rows in tables.items():
        lines += ["", f"{table}: medians on one thread; {machine()}", ""]
        lines += ["| what | fastnn, µs | NumPy, µs | ratio | GFLOP/s | correct |"]
        lines += ["| --- | ---: | ---: | ---: | ---: | --- |"]
        lines += [table_row(group, ours, theirs) for group, ours, theirs in rows]
    for line in lines:
        terminalreporter.write_line(line)
    if config.option.tables:
        config.option.tables.write_text("\n".join(lines[1:]) + "\n")


def machine():
    """Return the library versions and the instruction set that the figures depend on."""
    config = fastnn.show_config("dicts")
    return (
        f"{config['platform']}, fastnn {config['fastnn']} ({config['instruction_set']}, "
        f"{config['compiler']}), NumPy {np.__version__}, Python {platform.python_version()}"
    )


def table_row(group, ours, theirs):
    """Return a line of the table: times per operation (a step, a call) in microseconds."""
    info = ours.extra_info
    if not info["correct"]:
        return f"| {group} | | | | | no: {info['disagreement']:.1e} |"
    a, b = (bench.stats.median / info["steps"] * 1e6 for bench in (ours, theirs))
    rate = info["flops"] / a / 1e3
    return f"| {group} | {a:,.2f} | {b:,.1f} | {b / a:.1f} | {rate:.1f} | yes |"
