# The engine: what _kernels.pyx is made of. Every .pxd names what it uses by cimport, and all are
# compiled into the module that cimports them, once for each precision.
#
# From the ground up:
#
#     leaves                 our C, as Cython sees it
#     net                    structs alone: a network, its stages, the buffers of a batch's rows
#     clock, team            time; how many threads, and how long they work at a stretch
#     registry               names looked up in the tables of leaves
#     gradients              what becomes of a tile's gradient: stored, measured, used
#     stages/                a room for each kind of stage; kinds.pxd has the list
#     buffers, passes        memory for rows; rows forward, to the loss, and backward
#     rows                   where a step's rows come from
#     run, step, tasks       training as data; one step of it; what a thread of the team runs
#     parameters             the network's parameters as arrays of Python
#     capi                   calls from C
#     building               a network from Python's specifications
