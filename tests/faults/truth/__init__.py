"""The truth table: how each client says that an answer ended, on the same bytes over sockets."""
