"""From a runtime spec to a running process.

Takes a `Spec`, what is known of the `Host`, and a `Rootfs`; gives a `Plan`, which chrun-init
carries out. Knows nothing of registries and layers.
"""
