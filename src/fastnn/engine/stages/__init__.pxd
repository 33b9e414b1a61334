# A file for each kind of stage; kinds.pxd has the list.
