"""The Open Inference Protocol from a client's side: a service to talk to, the ways to send a
tensor, and ONNX's own conformance tests."""
