"""The whole stack on one machine: Kafka, Valkey, the ingress and the workers as child processes of one supervisor."""
