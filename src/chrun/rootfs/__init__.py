"""From layers to one root file system: stacked by overlayfs, or copied together."""
