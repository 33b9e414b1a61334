# The engine, which _kernels.pyx exposes to Python. A .pxd is compiled into the module that cimports
# it, and so once for each precision.
#
# The parts, from the lowest up. A part cimports parts of its own line and of the lines above it;
# tests/test_architecture.py reads this list.
#
#     leaves                 declarations of the C code
#     net                    the structs: a network, its stages, the buffers for a batch's rows
#     clock, team, probes    the time of each phase; sizes of teams and slices; speed of the machine
#     seeds, orders          random numbers; random orders of rows
#     metrics                metrics of a whole set of rows
#     registry               lookup of names in the tables of leaves
#     gradients              penalties, clipping and the update of a tile
#     postponed, averages    postponed updates; optimizers that average the parameters themselves
#     stages                 a file for each kind of stage; kinds.pxd has the list
#     buffers, passes        memory for rows; the forward pass, the loss, the backward pass
#     rows                   the inputs, targets and weights of a step's rows
#     run, watch             a training run as a struct; rules that follow its losses
#     run_memory             the memory of a run beside its buffers
#     zeros                  whether inputs have enough zeros to skip them
#     shares                 rounds of a step, their division among the threads of a team
#     row_phase              the rows phase of a step
#     step                   a whole step
#     evaluation, epochs     outputs and losses of rows; what happens between epochs
#     tasks                  slices of a run, as each thread trains them
#     parameters, arrays     parameters as arrays or as one vector; arrays in and out
#     lockstep               slices of tiny networks of one shape, side by side
#     members                many runs at once, each on one thread
#     row_gradients          the gradient of each row's loss
#     derivatives            outputs of all stages; derivatives with respect to inputs
#     capi                   the functions for C
#     building               a network from its specification in Python
#     describing             metrics and rules from their descriptions in Python
