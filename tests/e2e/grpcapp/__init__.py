"""A gRPC service on grpcio's own server, started by tests as an upstream. Its messages are plain bytes."""
