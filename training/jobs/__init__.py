"""Fine-tuning jobs of a server: leased from its database, trained in a child process, handed over as adapters."""
