"""A trained model for others' tools: sentence-transformers, ONNX Runtime, MTEB, the Hugging Face hub."""
