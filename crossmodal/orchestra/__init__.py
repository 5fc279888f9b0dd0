"""The synthetic orchestra: music composed and synthesised from attributes, and reviews of it in six languages."""
