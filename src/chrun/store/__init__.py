"""The data directory: images, layers, containers, and what is being fetched.

Takes values of `oci` and bytes, keeps them where `layout` says. A name appears last, by rename,
when what it names is whole; who uses something holds a lock on it, which dies with its process.
"""
