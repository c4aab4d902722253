"""What `mcproxy demo` is made of. Nothing here is used by a proxy that serves in earnest."""
