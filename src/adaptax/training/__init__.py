"""The one training loop, over devices and hosts, and what to say when numbers go wrong."""
