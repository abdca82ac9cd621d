"""Where the stages meet: pulling, running, listing and removing.

Takes an open store, a registry and what the user asked for; it is the only room that knows both
the network and the disk, so `pull`, `containers` and `images` tell the whole story.
"""
