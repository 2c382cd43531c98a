"""The only room with sockets and state files: Kafka, RocksDB, Redis."""
