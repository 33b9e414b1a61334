"""Comparisons that many tests make: of networks bit by bit, and of errors with what they must say.

Not here: tolerances and comparisons of numbers, which each file of tests has for its own subject.
"""

import hashlib

import pytest


def digest(arrays):
    """Return the SHA-256 of the bytes of arrays."""
    return hashlib.sha256(b"".join(a.tobytes() for a in arrays)).hexdigest()


def sha256(net):
    """Return the SHA-256 of a network's weights."""
    return digest(net.get_weights())


def bits(net, history):
    """Return the values of a history in hex, a hash of the weights, and the counts of a network."""
    values = {name: [float(v).hex() for v in found] for name, found in history.history.items()}
    return values, sha256(net), net.step, net.epoch


def state_of(net):
    """Return all state of the compiled network that training changes, as bytes."""
    network = net._network
    step, epoch, blocks = network.read_blocks(list(range(network.n_blocks)))
    return step, epoch, [array.tobytes() for block in blocks for array in block]


def refuses(error, fragments, call):
    """Check that a call raises this error, or one of these, with all fragments in its message."""
    with pytest.raises(error) as caught:
        call()
    assert caught.type in (error if isinstance(error, tuple) else (error,))
    message = str(caught.value)
    assert [f for f in fragments if f not in message] == [], message
    assert "\n" not in message
