"""Facts about this machine and this kernel, asked once: what is allowed here, and why not."""
