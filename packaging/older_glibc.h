/* Functions of threads under the versions that they had before glibc 2.34 moved them into libc.so.6
   and gave them new ones. linux_wheel.py includes this file in front of each source. */
__asm__(".symver pthread_attr_setstacksize, pthread_attr_setstacksize@GLIBC_2.2.5");
__asm__(".symver pthread_create, pthread_create@GLIBC_2.2.5");
__asm__(".symver pthread_setname_np, pthread_setname_np@GLIBC_2.12");
__asm__(".symver pthread_sigmask, pthread_sigmask@GLIBC_2.2.5");
