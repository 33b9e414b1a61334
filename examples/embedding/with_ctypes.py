"""Call a network from many threads by ctypes, which releases the GIL; each has a workspace."""

import sys
import threading

import numpy as np

import fastnn
from fastnn import embedding

net = fastnn.load(sys.argv[1])
predict = embedding.functions().predict_f32
X = np.random.default_rng(3).standard_normal((1000, net.n_in)).astype(np.float32)
results = np.empty((8, 1000, 1), np.float32)


def work(out):
    workspace = embedding.Workspace(net)
    for x, y in zip(X, out, strict=True):  # one row per call
        status = predict(workspace.address, 1, x.ctypes.data, y.ctypes.data)
        if status:
            sys.exit(embedding.functions().message(status).decode())


threads = [threading.Thread(target=work, args=(out,)) for out in results]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
if not (results == net.predict(X)).all():
    sys.exit("predict differs")
print("ctypes: the same bits as Python's calls, in 8 threads")
