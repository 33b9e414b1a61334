# The engine: what _kernels.pyx is made of. Every .pxd names what it uses by cimport, and all are
# compiled into the module that cimports them, once for each precision.
#
# The parts from the ground up. A part cimports parts of its own line and of the lines above it;
# tests/test_architecture.py reads this list.
#
#     leaves                 declarations of the C code
#     net                    structs alone: a network, its stages, the buffers of a batch's rows
#     clock, team, probes    clocks of phases; sizes of teams and of slices; probes of the machine
#     seeds, orders          random numbers; random orders of rows
#     metrics                metrics of a whole set of rows
#     registry               names looked up in the tables of leaves
#     gradients              what is done with the gradient of a tile
#     waiting, averages      updates that wait; optimizers that average the parameters themselves
#     stages                 a file for each kind of stage; kinds.pxd has the list
#     buffers, passes        memory for rows; the forward pass, the loss, the backward pass
#     rows                   where a step's rows come from
#     run, watch             training as data; what follows the losses of its epochs
#     zeros                  whether rows have so many zeros that these are skipped
#     row_phase, step, tasks  the two phases of a step; what each thread of a team runs
#     parameters, arrays     parameters as arrays of Python or as one vector; arrays in and out
#     lockstep               slices of tiny networks of one shape, side by side
#     members                many runs at once, each by one thread
#     row_gradients          the gradient of each row's loss
#     capi                   calls from C
#     building               a network from Python's specifications
