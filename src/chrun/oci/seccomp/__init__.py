"""System call filters as values, by name: chrun's own lists, docker's files, OCI's form.

What number a name has, and the program that the kernel runs, is `chrun.linux.seccomp`'s.
"""
