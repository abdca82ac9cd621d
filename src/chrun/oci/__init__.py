"""The values of the three OCI specifications; no I/O.

Takes text and JSON bytes, gives frozen values: references, digests, platforms, manifests, image
configurations, runtime specs; and converts an image configuration to a runtime spec.
"""
