"""The distribution-spec v1.1 client.

Takes references and descriptors, gives manifests, configurations and streams of blobs. Reads top
down: `client` asks for documents and blobs, `session` finds the scheme and logs in (`auth`,
`credentials`), `http` moves bytes and retries, `trust` says where a registry may send us.
"""
